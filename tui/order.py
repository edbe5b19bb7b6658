"""Records in an order, some of them left out: what a table shows, kept up cheaply while records change."""

from collections.abc import Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar


class Keyed(Protocol):
    @property
    def key(self) -> str: ...


R = TypeVar("R", bound=Keyed)


class Order(Generic[R]):
    """All records by key, and the keys of those shown, sorted."""

    def __init__(self, sort: Callable[[R], tuple[Any, ...]]) -> None:
        self.rows: dict[str, R] = {}
        self.shown: list[str] = []
        self._sort = sort
        self._wanted: Callable[[R], bool] | None = None
        self._keys: dict[str, tuple[Any, ...]] = {}
        self._places: dict[str, int] = {}
        self._among: set[str] = set()

    def place(self, key: str | None) -> int | None:
        """Where a record stands among those shown."""
        return None if key is None else self._places.get(key)

    def at(self, place: int) -> R | None:
        return self.rows[self.shown[place]] if 0 <= place < len(self.shown) else None

    def replace(self, rows: Iterable[R]) -> None:
        """Other records in the place of all."""
        self.rows = {row.key: row for row in rows}
        self._keys = {key: self._sort(row) for key, row in self.rows.items()}
        self._choose()

    def put(self, rows: Iterable[R]) -> bool:
        """Some records anew; says whether the order of what is shown changed, which is rare and costs a sort."""
        moved = chosen = False
        for row in rows:
            key, sort_key = row.key, self._sort(row)
            moved = moved or self._keys.get(key) != sort_key
            self.rows[key] = row
            self._keys[key] = sort_key
            if (self._wanted is None or self._wanted(row)) != (key in self._among):
                chosen = True
        if chosen:
            self._choose()
        elif moved:
            self._arrange()
        return chosen or moved

    def sort_by(self, sort: Callable[[R], tuple[Any, ...]]) -> None:
        self._sort = sort
        self._keys = {key: sort(row) for key, row in self.rows.items()}
        self._arrange()

    def keep(self, wanted: Callable[[R], bool] | None) -> None:
        """Show only what is wanted; None shows all."""
        self._wanted = wanted
        self._choose()

    def _choose(self) -> None:
        wanted = self._wanted
        self.shown = [key for key, row in self.rows.items() if wanted is None or wanted(row)]
        self._among = set(self.shown)
        self._arrange()

    def _arrange(self) -> None:
        self.shown.sort(key=self._keys.__getitem__)
        self._places = {key: place for place, key in enumerate(self.shown)}
