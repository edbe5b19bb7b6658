"""What is seen of an attempt's agents, as events."""

from collections.abc import Iterable
from dataclasses import fields

from runner.engine.ports import AgentProgress, Progress, Sighting
from runner.model.events import AgentSeen, ContainerStarted
from runner.model.ids import JobId

_FIELDS = tuple(field.name for field in fields(AgentProgress))
Seen = AgentSeen | ContainerStarted


class Untold:
    """What was seen of an attempt and is not in the ledger yet: of each agent the last, of the containers all."""

    def __init__(self, job: JobId, attempt: int) -> None:
        self._job = job
        self._attempt = attempt
        self._seen: dict[tuple[str, str], Seen] = {}

    @property
    def events(self) -> tuple[Seen, ...]:
        return tuple(self._seen.values())

    async def look(self, progress: Progress, *, last: bool = False) -> None:
        for event in events_of(self._job, self._attempt, await progress.news(last=last)):
            self._seen[event.agent, event.container if isinstance(event, ContainerStarted) else ""] = event

    def clear(self) -> None:
        self._seen.clear()


def events_of(job: JobId, attempt: int, news: Iterable[Sighting]) -> list[Seen]:
    """An event for each; containers stay in their order before the agents."""
    return [
        AgentSeen(job, attempt, **{name: getattr(one, name) for name in _FIELDS})
        if isinstance(one, AgentProgress)
        else ContainerStarted(job, attempt, one.agent, one.name, one.container)
        for one in news
    ]
