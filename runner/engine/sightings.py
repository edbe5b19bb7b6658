"""What is seen of an attempt's agents, as events."""

from collections.abc import Iterable
from dataclasses import fields

from runner.engine.ports import AgentProgress, Sighting
from runner.model.events import AgentSeen, ContainerStarted
from runner.model.ids import JobId

_FIELDS = tuple(field.name for field in fields(AgentProgress))


def events_of(job: JobId, attempt: int, news: Iterable[Sighting]) -> list[AgentSeen | ContainerStarted]:
    """An event for each; containers stay in their order before the agents."""
    return [
        AgentSeen(job, attempt, **{name: getattr(one, name) for name in _FIELDS})
        if isinstance(one, AgentProgress)
        else ContainerStarted(job, attempt, one.agent, one.name, one.container)
        for one in news
    ]
