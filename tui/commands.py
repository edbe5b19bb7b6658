"""The palette: the registry's actions by name."""

from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider

from tui.keys import Key, Where, keys_for
from tui.screens.base import Follower, JobActions


class KeyCommands(Provider):
    """Offers what the screen under the palette can do."""

    def _keys(self) -> list[Key]:
        screen = self.screen
        places: tuple[Where, ...] = ("any", getattr(screen, "WHERE", "sweeps"))
        if isinstance(screen, Follower):
            places = (*places, "app")
        if isinstance(screen, JobActions):
            places = (*places, "pane")
        return [key for key in keys_for(*places) if key.palette]

    async def discover(self) -> Hits:
        for key in self._keys():
            yield DiscoveryHit(key.label, partial(self._run, key), help=key.help)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for key in self._keys():
            score = max(matcher.match(key.label), matcher.match(key.help) * 0.8)
            if score > 0:
                yield Hit(score, matcher.highlight(key.label), partial(self._run, key), text=key.label, help=key.help)

    async def _run(self, key: Key) -> None:
        place = "app" if {"any", "app"} & set(key.where) else "screen"
        await self.screen.run_action(f"{place}.{key.action}")
