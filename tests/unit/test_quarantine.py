"""What brings the runner down twice is left alone the third time, with its files where they are."""

from pathlib import Path

import pytest

from runner.adapters.quarantine import MARK, read_guarded
from runner.model.outcome import Outcome
from tests.unit.fakes import OK


class Killed(BaseException):
    """Stands for a SIGKILL: nothing after it runs."""


def test_a_read_that_kills_the_runner_is_tried_twice(tmp_path: Path) -> None:
    def kills() -> Outcome:
        raise Killed

    for _ in range(2):
        with pytest.raises(Killed):
            read_guarded(tmp_path, kills)
    outcome = read_guarded(tmp_path, kills)
    assert outcome.failure == "quarantine"
    assert outcome.cost_usd is None
    assert str(tmp_path) in outcome.evidence


def test_a_read_that_succeeds_leaves_no_mark(tmp_path: Path) -> None:
    (tmp_path / MARK).write_text("1")
    assert read_guarded(tmp_path, lambda: OK) == OK
    assert not (tmp_path / MARK).exists()


def test_a_mark_of_nonsense_counts_nothing(tmp_path: Path) -> None:
    (tmp_path / MARK).write_bytes(b"\xff\x00")
    assert read_guarded(tmp_path, lambda: OK) == OK
