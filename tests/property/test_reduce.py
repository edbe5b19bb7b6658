import math
from dataclasses import fields, replace
from functools import reduce as fold

from hypothesis import given

from runner.model.board import Board
from runner.model.events import Envelope
from runner.model.forecast import forecast_board
from runner.model.plan import Expectation
from runner.model.reduce import reduce
from runner.model.summary import summarise, table
from runner.model.tally import Tally, tally_of
from runner.wire.frames import BoardPart, board_of, board_parts, decode, encode
from tests.property.strategies import histories
from tests.unit.fakes import the_plan


def _folded(history: list[Envelope]) -> Board:
    return fold(reduce, history, Board())


def _alike(one: Tally, other: Tally) -> bool:
    for field in fields(Tally):
        left, right = getattr(one, field.name), getattr(other, field.name)
        if not (math.isclose(left, right, abs_tol=1e-6) if isinstance(left, float) else left == right):
            return False
    return True


@given(histories())
def test_any_history_folds_into_a_board_whose_tallies_are_those_of_its_rows(history: list[Envelope]) -> None:
    board = Board()
    for envelope in history:
        board = reduce(board, envelope)
        assert board.seq == envelope.seq
    assert set(board.order) == set(board.jobs)
    assert len(board.order) == len(board.jobs)
    for setting, tally in board.tallies.items():
        rows = [row for row in board.jobs.values() if row.spec.setting == setting]
        assert _alike(tally, tally_of(rows))
    assert board.total.jobs == len(board.jobs)


@given(histories())
def test_the_board_survives_the_wire(history: list[Envelope]) -> None:
    board = _folded(history)
    parts = []
    for part in board_parts(board):
        frame = decode(encode(part))
        assert isinstance(frame, BoardPart)
        parts.append(frame)
    back = board_of(parts)
    assert replace(back, tallies=board.tallies) == board
    assert all(_alike(back.tallies[setting], board.tallies[setting]) for setting in board.tallies)


@given(histories())
def test_every_board_can_be_summed_up_and_foreseen(history: list[Envelope]) -> None:
    board = _folded(history)
    summary = summarise(board, 5e9)
    total, tally = summary.total, board.total
    assert total.results + total.failed + total.cancelled + total.unfinished == total.jobs
    assert (total.results, total.attempts, dict(total.statuses)) == (
        tally.results,
        tally.attempts,
        dict(tally.statuses),
    )
    assert math.isclose(total.cost_usd, tally.cost_usd, abs_tol=1e-5)
    assert math.isclose(total.wasted_usd, tally.wasted_usd, abs_tol=1e-5)
    assert table(summary)
    plan = the_plan(prior={"solo": Expectation(100.0, 0.5, 0.1)})
    forecast = forecast_board(replace(board, plan=plan))
    assert forecast.cost_usd is not None
    assert forecast.cost_usd >= tally.cost_usd - 1e-6
