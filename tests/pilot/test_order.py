"""The order of a table's records, and what keeping it up costs."""

from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from tui.order import Order


@dataclass(frozen=True)
class Row:
    key: str
    rank: int
    place: int
    note: str = ""


def by_rank(row: Row) -> tuple[int, int]:
    return row.rank, row.place


def order_of(*ranks: int) -> Order[Row]:
    order: Order[Row] = Order(by_rank)
    order.replace([Row(f"k{place}", rank, place) for place, rank in enumerate(ranks)])
    return order


def test_a_change_that_moves_nothing_sorts_nothing() -> None:
    order = order_of(2, 1, 3)
    assert order.shown == ["k1", "k0", "k2"]
    assert not order.put([replace(order.rows["k0"], note="new")])
    assert order.rows["k0"].note == "new"


def test_a_change_of_the_sort_key_moves_the_row() -> None:
    order = order_of(2, 1, 3)
    assert order.put([replace(order.rows["k2"], rank=0)])
    assert order.shown == ["k2", "k1", "k0"]
    assert order.place("k2") == 0
    assert order.place("gone") is None
    assert order.at(9) is None


def test_a_filter_takes_rows_in_and_out_as_they_change() -> None:
    order = order_of(1, 2, 3)
    order.keep(lambda row: row.rank > 1)
    assert order.shown == ["k1", "k2"]
    assert order.put([replace(order.rows["k0"], rank=5)])
    assert order.shown == ["k1", "k2", "k0"]
    assert order.put([replace(order.rows["k1"], rank=0)])
    assert order.shown == ["k2", "k0"]
    order.keep(None)
    assert order.shown == ["k1", "k2", "k0"]


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 4)), max_size=20),
    st.integers(0, 4),
)
def test_small_steps_come_to_what_one_big_one_does(
    ranks: list[int], changes: list[tuple[int, int]], least: int
) -> None:
    order = order_of(*ranks)
    order.keep(lambda row: row.rank >= least)
    for place, rank in changes:
        key = f"k{place % len(ranks)}"
        order.put([replace(order.rows[key], rank=rank)])
    wanted = sorted((row for row in order.rows.values() if row.rank >= least), key=by_rank)
    assert order.shown == [row.key for row in wanted]
    assert [order.place(key) for key in order.shown] == list(range(len(wanted)))
