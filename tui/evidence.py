"""What is known of a try, from the best source that there is: the probe while it tells, else upstream's own files."""

import time
from dataclasses import dataclass
from pathlib import Path

from tui.growing import AT_ONCE, JsonLines, Record, Ref
from tui.job_files import JobFiles
from tui.trajectory import SUFFIX, Elements, Trajectories

PROBE = "probe.jsonl"
CONVERSATION = "conversation.json"
LOOK_S = 0.5


@dataclass(frozen=True, slots=True)
class News:
    """Records in the order of their source. `anew`: whatever was told before is void."""

    records: list[tuple[Ref, Record]]
    anew: bool = False


class Evidence:
    """Records with their places, as they come."""

    def __init__(self, files: JobFiles, *, talk: bool = False) -> None:
        self.files = files
        self._talk = talk
        self._probe = JsonLines(files.attempt / PROBE) if files.attempt else None
        self._generation = 0
        self._told = False
        self._later: Trajectories | None = None
        self._letters: Elements | None = None
        self._looked = 0.0

    @property
    def recorded(self) -> bool:
        """The source is upstream's files: their times are not those of a rehearsal's probe."""
        return self._later is not None

    @property
    def sorted(self) -> bool:
        """The records come in the order of their times."""
        return self._later is None

    @property
    def complete(self) -> bool:
        if self._later is not None:
            return self._later.complete and (self._letters is None or self._letters.complete)
        return self._probe is None or self._probe.complete

    @property
    def done(self) -> float:
        if self._later is not None:
            return self._later.done
        return self._probe.done if self._probe else 1.0

    @property
    def speed(self) -> float:
        return 1.0 if self.recorded else self.files.speed

    @property
    def path(self) -> Path | None:
        if self._letters is not None:
            return self._letters.file.path
        if self._later is not None:
            return self._later.folder
        return self._probe.file.path if self._probe and self._probe.file.exists else None

    def close(self) -> None:
        if self._probe:
            self._probe.close()
        if self._later:
            self._later.close()
        if self._letters:
            self._letters.file.close()

    def advance(self) -> News:
        """A few milliseconds' worth of records."""
        if self._later is not None:
            return News(self._from_files(self._later))
        records: list[tuple[Ref, Record]] = []
        anew = False
        if self._probe is not None:
            records = self._probe.advance(AT_ONCE)
            anew = self._generation != self._probe.file.generation
            self._generation = self._probe.file.generation
            self._told = (self._told and not anew) or any(record.get("type") == "step" for _, record in records)
        if self.files.ended and not self._told and self.complete and self._due():
            self._later = self._files()
            if self._later is not None:
                return News(self._from_files(self._later), anew=True)
        return News(records, anew)

    def read(self, ref: Ref) -> list[Record]:
        """What stands there, once more."""
        if self._letters is not None and ref.file < 0:
            return [_letter(self._letters.read(ref.offset, ref.length))]
        if self._later is not None:
            return self._later.read(ref)
        return self._probe.read(ref) if self._probe else []

    def _due(self) -> bool:
        now = time.monotonic()
        if now - self._looked < LOOK_S:
            return False
        self._looked = now
        return True

    def _files(self) -> Trajectories | None:
        """Nothing was told live, and nothing will be: what upstream wrote, if it did."""
        folder = self.files.results
        if folder is None:
            return None
        conversation = folder / CONVERSATION
        if self._talk and conversation.is_file():
            self._letters = Elements(conversation, None)
        elif next(folder.glob("*" + SUFFIX), None) is None:
            return None
        return Trajectories(folder)

    def _from_files(self, later: Trajectories) -> list[tuple[Ref, Record]]:
        if not later.complete or self._letters is None:
            return later.advance()
        return [(Ref(-1, offset, length), _letter(value)) for offset, length, value in self._letters.advance()]


def _letter(value: object) -> Record:
    """One entry of conversation.json."""
    said = value if isinstance(value, dict) else {}
    return {
        "type": "message_sent", "agent": said.get("from"), "from": said.get("from"), "to": said.get("to"),
        "text": said.get("message"), "at": said.get("timestamp"), "wait": False,
    }  # fmt: skip
