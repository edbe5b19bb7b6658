"""No byte reaches the terminal that we did not mean: hostile text through everything that is shown, in a real pty."""

import base64
import os
import re
import sys
from pathlib import Path

import anyio
import pytest

from runner.adapters.ledger import SqliteLedger
from runner.adapters.places import Places
from runner.model import events as ev
from tests import hostile
from tests.e2e.hostile_board import EVIL, NAME, board
from tests.e2e.pty_program import PtyProgram
from tui.sanitise import _BAD

ROOT = Path(__file__).parents[2]
MEANT = re.compile(
    r"\x1b\[[0-9;]*m"  # colours
    r"|\x1b\[[0-9]+;[0-9]+H"  # where to draw
    r"|\x1b\[\?(?:7|25|1000|1003|1004|1006|1015|1016|1049|2004|2026|2048)[hl]"  # what Textual's driver turns on and off
    r"|\x1b\[\?20(?:26|48)\$p|\x1b\[>[0-9]+u|\x1b\[<u"
    r"|\x1b\]22;[a-z-]{1,20}\x07"  # the shape of the pointer
    r"|\x1b\]52;c;(?P<copied>[A-Za-z0-9+/=]*)\x07"
)


def unmeant(written: bytes, folder: Path) -> list[str]:
    """Whatever is neither a sequence that we mean nor text that does nothing."""
    text = written.decode("utf-8", "surrogateescape")
    odd: list[str] = []
    at = 0
    for match in MEANT.finditer(text):
        odd += _odd(text[at : match.start()])
        at = match.end()
        if match["copied"] and not base64.b64decode(match["copied"]).startswith(str(folder).encode()):
            odd.append(match[0])
    return odd + _odd(text[at:])


def _odd(text: str) -> list[str]:
    return [text[max(0, bad.start() - 10) : bad.start() + 20] for bad in _BAD.finditer(re.sub("\r?\n|\r", "", text))]


def program(folder: Path, *argv: str, **environ: str) -> PtyProgram:
    environ = {"PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"} | environ
    return PtyProgram([sys.executable, "-P", *argv], folder, (100, 30), environ)


def dashboard(folder: Path, what: str = "dashboard", **environ: str) -> PtyProgram:
    (folder / "saves").mkdir()
    return program(folder, "-m", "tests.e2e.hostile_board", str(folder), what, **environ)


def test_the_grammar_knows_what_is_not_meant(tmp_path: Path) -> None:
    for name, sequence in hostile.SEQUENCES.items():
        if name not in {"markup", "colours", "wide"}:
            assert unmeant(b"text " + sequence, tmp_path), name
    assert not unmeant(b"\x1b[31mtext\x1b[0m \xe2\x90\x9b]52;c;ZXZpbA==", tmp_path)
    assert unmeant(b"\x1b]52;c;" + base64.b64encode(b"evil") + b"\x07", tmp_path)


@pytest.mark.parametrize("ascii_only", [False, True])
def test_the_dashboard_shows_it_all_and_means_every_byte(tmp_path: Path, ascii_only: bool) -> None:
    shown = dashboard(tmp_path, **({"LC_ALL": "C", "NO_COLOR": "1"} if ascii_only else {}))
    try:
        shown.shows("HELD by", "running", "failed", "done")
        for _ in range(2 if ascii_only else 4):
            for pane in "12345":
                shown.press(pane)
                shown.settle(0.12)
                assert not _BAD.search(shown.screen.replace("\n", ""))
            shown.press("j")
        for keys in ("p", "gkkk\r", "1g ", "2g ", "w\x1b[C", "wf", "3g  ", "4g  ", "5y", *"[]sx/nXni\x1bh\x1b"):
            # As somebody would who pastes what an agent has printed.
            pasted = f"\x1b[200~{NAME.replace(chr(27), '')}\x1b]0;x\x07\x1b[201~\r" if keys == "/" else ""
            shown.press(keys + pasted)
            shown.settle(0.12)
            assert not _BAD.search(shown.screen.replace("\n", ""))
        shown.press("n")
        shown.settle(0.12)
        shown.press("?")
        shown.settle(0.12)
        assert shown.read(0)
        if ascii_only:
            assert shown.screen.isascii()
    finally:
        shown.press("\x1b")
        shown.settle(0.25)
        shown.press("\x1b")
        shown.settle(0.25)
        shown.press("d")
        shown.end()
    assert unmeant(bytes(shown.written), tmp_path) == []
    assert len(shown.written) > 20_000
    assert len(list((tmp_path / "saves").iterdir())) == 1


def test_the_list_of_sweeps_means_every_byte(tmp_path: Path) -> None:
    shown = dashboard(tmp_path, "sweeps")
    try:
        shown.shows("3 sweeps")
        shown.press("j?")
        shown.settle()
    finally:
        shown.press("\x1b")
        shown.settle()
        shown.press("d")
        shown.end()
    assert unmeant(bytes(shown.written), tmp_path) == []


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A project with a sweep in whose ledger every text is hostile."""
    path = Places(tmp_path).ledger("s")
    path.parent.mkdir(parents=True)
    written = SqliteLedger(path)
    envelopes = [*board(tmp_path).envelopes]
    envelopes.append(ev.Envelope(len(envelopes) + 1, envelopes[-1].at, ev.RunnerStopped(EVIL)))
    anyio.run(written.append, envelopes)
    written.close()
    return tmp_path


ARGUMENT = NAME.encode("utf-8", "replace").decode()


@pytest.mark.parametrize(
    "asked",
    [
        ("report",), ("status",), ("ls",), ("logs", "s", ARGUMENT), ("attach", ARGUMENT), ("open", ARGUMENT),
        ("run", ARGUMENT, "--pairs", ARGUMENT, "-m", ARGUMENT, "--rehearse"), (ARGUMENT,), ("run", f"--{ARGUMENT}"),
    ],
    ids=lambda asked: asked[0] if asked[0].isascii() and asked[0].isprintable() else "typed",
)  # fmt: skip
def test_what_a_command_prints_is_plain(ledger: Path, asked: tuple[str, ...]) -> None:
    ran = program(ledger, "-m", "runner.cli", *asked)
    ran.end()
    assert ran.written.strip()
    assert b"Traceback" not in ran.written
    assert b"\x1b" not in ran.written
    assert unmeant(bytes(ran.written), ledger) == []


def test_what_happens_is_told_in_plain_lines(tmp_path: Path) -> None:
    ran = program(tmp_path, "-m", "tests.e2e.hostile_board", str(tmp_path), "lines")
    ran.end()
    assert b"failed unknown" in ran.written
    assert b"\x1b" not in ran.written
    assert unmeant(bytes(ran.written), tmp_path) == []


def test_an_opened_run_means_every_byte(tmp_path: Path) -> None:
    pair = (
        tmp_path
        / "run"
        / "coop"
        / os.fsdecode(hostile.LINE.replace(b"/", b"").replace(b"\0", b"")[:200])
        / "1"
        / "f1_f2"
    )
    pair.mkdir(parents=True)
    (pair / "result.json").write_bytes(hostile.corpus())
    (pair / "output.log").write_bytes(hostile.corpus())
    (pair / "agent1_traj.json").write_bytes(hostile.corpus())
    (pair / "agent1.patch").write_bytes(hostile.corpus())
    shown = program(tmp_path, "-m", "runner.cli", "open", "run")
    try:
        shown.shows("NO RUNNER", "corrupt")
        shown.press("\r")
        shown.settle(0.12)
        for pane in "12345":
            shown.press(f"{pane}g ")
            shown.settle(0.12)
    finally:
        shown.press("\x1b")
        shown.settle(0.25)
        shown.press("d")
        shown.end()
    # restored_terminal's shell writes nothing, for the dashboard was not killed.
    assert unmeant(bytes(shown.written), tmp_path) == []
