"""What a user may ask of a running sweep: imperative, and without effect until it has become events."""

from typing import Literal

from msgspec import Struct

from runner.model.events import StopMode
from runner.model.ids import JobId


class Cancel(Struct, frozen=True):
    """End the job's attempt, or take the job out of the queue."""

    job: JobId
    type: Literal["Cancel"] = "Cancel"


class Retry(Struct, frozen=True):
    """Queue a settled job again. A job with a result is only bought again with `force`."""

    job: JobId
    force: bool = False
    type: Literal["Retry"] = "Retry"


class RetryFailed(Struct, frozen=True):
    """Queue every job again that ended in a failure that is not the user's own cancel."""

    type: Literal["RetryFailed"] = "RetryFailed"


class Requeue(Struct, frozen=True):
    """End the attempt under way of a job that does not come on, and queue the job again."""

    job: JobId
    type: Literal["Requeue"] = "Requeue"


class Pause(Struct, frozen=True):
    type: Literal["Pause"] = "Pause"


class Resume(Struct, frozen=True):
    type: Literal["Resume"] = "Resume"


class SetSlots(Struct, frozen=True):
    """From 1 to 256."""

    slots: int
    type: Literal["SetSlots"] = "SetSlots"


class Stop(Struct, frozen=True):
    """`drain`: what runs may finish, nothing new starts. `now`: what runs is ended and stays resumable."""

    mode: StopMode
    type: Literal["Stop"] = "Stop"


Command = Cancel | Retry | RetryFailed | Requeue | Pause | Resume | SetSlots | Stop


class Reply(Struct, frozen=True):
    """Whether a command became events, and a sentence for the user either way."""

    ok: bool
    says: str
