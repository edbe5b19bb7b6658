"""What a user may ask of a running sweep: imperative, and without effect until it has become events."""

from dataclasses import dataclass
from typing import Literal

from runner.model.events import StopMode
from runner.model.ids import JobId


@dataclass(frozen=True, slots=True)
class Cancel:
    """End the job's attempt, or take the job out of the queue."""

    job: JobId
    type: Literal["Cancel"] = "Cancel"


@dataclass(frozen=True, slots=True)
class Retry:
    """Queue a settled job again. A job with a result is only bought again with `force`."""

    job: JobId
    force: bool = False
    type: Literal["Retry"] = "Retry"


@dataclass(frozen=True, slots=True)
class RetryFailed:
    """Queue every job again that ended in a failure that is not the user's own cancel."""

    type: Literal["RetryFailed"] = "RetryFailed"


@dataclass(frozen=True, slots=True)
class Requeue:
    """End the attempt under way of a job that does not come on, and queue the job again."""

    job: JobId
    type: Literal["Requeue"] = "Requeue"


@dataclass(frozen=True, slots=True)
class Pause:
    type: Literal["Pause"] = "Pause"


@dataclass(frozen=True, slots=True)
class Resume:
    type: Literal["Resume"] = "Resume"


@dataclass(frozen=True, slots=True)
class SetSlots:
    """From 1 to 256."""

    slots: int
    type: Literal["SetSlots"] = "SetSlots"


@dataclass(frozen=True, slots=True)
class Stop:
    """`drain`: what runs may finish, nothing new starts. `now`: what runs is ended and stays resumable."""

    mode: StopMode
    type: Literal["Stop"] = "Stop"


Command = Cancel | Retry | RetryFailed | Requeue | Pause | Resume | SetSlots | Stop


@dataclass(frozen=True, slots=True)
class Reply:
    """Whether a command became events, and a sentence for the user either way."""

    ok: bool
    says: str
