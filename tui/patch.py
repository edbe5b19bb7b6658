"""The agents' patches: what each changed, and which files several did. Pure reading."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from styles.themes import Tone
from tui.glyphs import Glyphs
from tui.growing import GrowingFile, parsed
from tui.job_files import JobFiles
from tui.log_file import LogFile
from tui.reading import Reading, Row
from tui.text import Line, Span

MOST_PATCHES = 16
MOST_FILES = 500
AT_ONCE = 128 * 1024
LINES_AT_ONCE = 2000
RESULT_LIMIT = 1024 * 1024
LOOK_TICKS = 5
_GIT = "diff --git "
_HUNK = re.compile(r"@@ -\d{1,9}(?:,(\d{1,9}))? \+\d{1,9}(?:,(\d{1,9}))? @@")


@dataclass(slots=True)
class Change:
    """One file in a patch."""

    name: str
    added: int = 0
    removed: int = 0


@dataclass(slots=True)
class Counts:
    """Folds a patch's lines into the files that it changes."""

    changes: list[Change] = field(default_factory=list)
    added: int = 0
    removed: int = 0
    more: int = 0
    heads: set[int] = field(default_factory=set)
    """Lines that begin like a change and name a file."""
    _lines: int = 0
    _old: int = 0
    _new: int = 0

    def take(self, line: str) -> None:
        """Inside a hunk the first character counts, as often as the hunk's head says; outside it the heads do."""
        if self._old > 0 or self._new > 0:
            self._inside(line)
        elif hunk := _HUNK.match(line):
            self._old, self._new = int(hunk[1] or 1), int(hunk[2] or 1)
        elif line.startswith(_GIT):
            self._file(_name_in_head(line))
        elif line.startswith(("--- ", "+++ ")):
            self._head(line)
        self._lines += 1

    def _head(self, line: str) -> None:
        if len(self.heads) < 2 * MOST_FILES:
            self.heads.add(self._lines)
        if line.startswith("+++ "):
            name = _name(line)
            if name is not None and (not self.changes or self.changes[-1].name != name):
                self._file(name)

    def _inside(self, line: str) -> None:
        change = self.changes[-1] if self.changes and not self.more else None
        if line.startswith("+"):
            self._new -= 1
            self.added += 1
            if change:
                change.added += 1
        elif line.startswith("-"):
            self._old -= 1
            self.removed += 1
            if change:
                change.removed += 1
        elif not line.startswith("\\"):
            self._old -= 1
            self._new -= 1

    def _file(self, name: str) -> None:
        if len(self.changes) < MOST_FILES:
            self.changes.append(Change(name))
        else:
            self.more += 1


class Patch:
    """One agent's patch, indexed and counted bit by bit; its lines stay in its file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.agent = path.stem
        self.file = LogFile(path)
        self.counts = Counts()
        self._counted = 0
        self._looked = False

    @property
    def complete(self) -> bool:
        return self._looked and self.file.complete and self._counted >= self.file.lines

    def advance(self) -> bool:
        before, self._looked = self.file.size, True
        grew = self.file.advance(AT_ONCE)
        if self.file.size < before:
            self.counts, self._counted = Counts(), 0
        # The last line may still grow; it is counted once the file is read to its end.
        ready = self.file.lines if self.file.complete else max(0, self.file.lines - 1)
        lines = self.file.window(self._counted, min(LINES_AT_ONCE, ready - self._counted))
        for line in lines:
            self.counts.take(line.text)
        self._counted += len(lines)
        return grew or bool(lines)


class PatchReading(Reading):
    """A head per agent, its files, its diff."""

    def __init__(self, files: JobFiles, glyphs: Glyphs) -> None:
        super().__init__(files, glyphs)
        self.patches: list[Patch] = []
        self._folder: Path | None = None
        self._ticks = 0
        self._both: frozenset[str] = frozenset()
        self._agents: dict[str, tuple[str, str]] = {}
        """By a patch's name, its agent and that one's feature."""

    @property
    def count(self) -> int:
        return sum(self._rows_of(patch) for patch in self.patches)

    @property
    def complete(self) -> bool:
        return all(patch.complete for patch in self.patches)

    @property
    def done(self) -> float:
        size = sum(patch.file.size for patch in self.patches)
        return sum(patch.file.indexed for patch in self.patches) / size if size else 1.0

    @property
    def live(self) -> bool:
        return False

    @property
    def says(self) -> str:
        if self.files.results is None:
            return self.files.says or "no patch"
        return "this try left no patch" if self.files.ended else "no patch yet: it is there when an agent has ended"

    def path(self, entry: int) -> Path | None:
        if not self.patches:
            return self.files.results
        return self._place(entry)[0].path

    def close(self) -> None:
        for patch in self.patches:
            patch.file.close()

    def advance(self) -> bool:
        changed = False
        if self._ticks % LOOK_TICKS == 0 or self._folder != self.files.results:
            changed = self._look()
        self._ticks += 1
        for patch in self.patches:
            if not patch.complete or self._ticks % LOOK_TICKS == 0:
                changed = patch.advance() or changed
        if changed:
            self._both = self._shared()
        return changed

    def rows(self, entry: int, *, unfolded: bool) -> list[Row]:
        patch, at = self._place(entry)
        changes = patch.counts.changes
        if at == 0:
            return [Row(self._head(patch), 4)]
        if at <= len(changes):
            return [Row(self._change(changes[at - 1]), 6)]
        at -= 1 + len(changes)
        if patch.counts.more:
            if at == 0:
                return [Row((Span(f"    and {patch.counts.more} files more", "muted"),))]
            at -= 1
        lines = patch.file.window(at - 1, 1) if at else []
        if not lines:
            return [Row(())]
        return [
            Row(
                (
                    *self._line(lines[0].text, lines[0].number in patch.counts.heads),
                    *((Span(f" {self.glyphs.more}", "warn"),) * lines[0].cut),
                ),
                2,
            )
        ]

    # -- the patches --------------------------------------------------------------------------------------------

    def _look(self) -> bool:
        folder = self.files.results
        paths = sorted(path for path in folder.glob("*.patch") if path.is_file())[:MOST_PATCHES] if folder else []
        self._folder = folder
        if paths == [patch.path for patch in self.patches]:
            return False
        self.close()
        self.patches = [Patch(path) for path in paths]
        self._agents = _agents(folder / "result.json") if folder else {}
        return True

    def _shared(self) -> frozenset[str]:
        seen: set[str] = set()
        both: set[str] = set()
        for patch in self.patches:
            names = {change.name for change in patch.counts.changes}
            both |= names & seen
            seen |= names
        return frozenset(both)

    def _rows_of(self, patch: Patch) -> int:
        """A head, its files, a blank, its lines, a blank."""
        return 3 + len(patch.counts.changes) + bool(patch.counts.more) + patch.file.lines

    def _place(self, entry: int) -> tuple[Patch, int]:
        for patch in self.patches:
            rows = self._rows_of(patch)
            if entry < rows:
                return patch, entry
            entry -= rows
        return self.patches[-1], 0

    # -- rows ---------------------------------------------------------------------------------------------------

    def _head(self, patch: Patch) -> Line:
        counts = patch.counts
        number = len(counts.changes) + counts.more
        name, feature = self._agents.get(patch.agent, (patch.agent, ""))
        of = f"  feature {feature}" if feature else ""
        head: Line = (Span(f" {self.said(name)}", "title"), Span(f"{of}  {self.said(patch.path.name)}  ", "muted"))
        if not patch.file.lines:
            return (*head, Span("empty: it changes nothing" if patch.complete else "", "warn"))
        files = f"{number} file" + ("s" if number != 1 else "")
        reading = () if patch.complete else (Span("  reading", "muted"),)
        return (*head, Span(f"{files}  "), *_plus_minus(counts.added, counts.removed), *reading)

    def _change(self, change: Change) -> Line:
        line: Line = (Span("    "), *_plus_minus(change.added, change.removed, 5), Span(f"  {self.said(change.name)}"))
        return (*line, Span("  both agents", "loud")) if change.name in self._both else line

    def _line(self, text: str, head: bool) -> Line:
        shown = f" {self.said(text)}"
        tone: Tone = "muted" if head else _tone(text)
        if text.startswith(_GIT) and _name_in_head(text) in self._both:
            return (Span(shown, tone), Span("  both agents", "loud"))
        return (Span(shown, tone),)


def _agents(result: Path) -> dict[str, tuple[str, str]]:
    """Upstream names a patch by its agent's feature: `agent7.patch`, or by the agent; result.json knows whose it is."""
    file = GrowingFile(result)
    file.look()
    told = parsed(file.read(0, RESULT_LIMIT).lstrip()) or {}
    file.close()
    agents = told.get("agents")
    named: dict[str, tuple[str, str]] = {}
    for agent, values in list(agents.items())[:MOST_PATCHES] if isinstance(agents, dict) else ():
        feature = values.get("feature_id") if isinstance(values, dict) else None
        if isinstance(feature, int):
            named[f"agent{feature}"] = (agent[:64], str(feature)[:9])
    return named


def _plus_minus(added: int, removed: int, width: int = 0) -> Line:
    return (Span(f"+{added}".rjust(width), "ok"), Span(" "), Span(f"-{removed}".rjust(width), "error"))


def _tone(text: str) -> Tone:
    if text.startswith("diff "):
        return "strong"
    if text.startswith(("index ", "new file", "deleted file", "similarity", "rename ", "old mode")):
        return "muted"
    if text.startswith("@@"):
        return "run"
    return "ok" if text.startswith("+") else "error" if text.startswith("-") else "text"


def _name_in_head(line: str) -> str:
    """The new name in `diff --git a/old b/new`, quoted or not."""
    mark = ' "b/' if line.endswith('"') else " b/"
    return line.rpartition(mark)[2].removesuffix('"')


def _name(line: str) -> str | None:
    name = line[4:].split("\t")[0].strip().strip('"')
    return None if name == "/dev/null" else name.removeprefix("b/")
