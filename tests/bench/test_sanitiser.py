"""The sanitiser's seconds: linear in its input, for every beginning of a sequence that could make it look back."""

import time

import pytest

from tests.unit.test_sanitise import PIECES
from tui.sanitise import styled

pytestmark = pytest.mark.bench


def test_seconds_grow_with_the_text_and_no_faster() -> None:
    print(f"\n{'sanitiser':<16} {'100 kB, ms':>12} {'1 MB, ms':>12} {'ratio':>8}   linear: 10")
    for piece in PIECES:
        small, large = (_seconds(piece * (size // len(piece))) for size in (100_000, 1_000_000))
        print(f"{piece!r:<16} {small * 1000:>12.1f} {large * 1000:>12.1f} {large / small:>8.1f}")


def _seconds(text: str) -> float:
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        styled(text)
        best = min(best, time.perf_counter() - start)
    return best
