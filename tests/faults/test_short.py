"""The short form of the fault suite; the whole is `make faults`."""

import pytest

from tests.faults.plan import FAULTS
from tests.faults.suite import Fault, play

SEED = 1


@pytest.mark.parametrize("fault", [one for one in FAULTS if one.short], ids=lambda fault: fault.name.replace(" ", "-"))
def test_a_fault_is_survived(fault: Fault) -> None:
    verdict = play(fault, SEED, fault.short)
    if verdict.skipped:
        pytest.skip(verdict.skipped)
    assert not verdict.wrong, "\n".join(verdict.wrong)
    assert verdict.survived >= fault.short
