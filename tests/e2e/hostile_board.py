"""Run in a terminal by test_hostile.py: the real dashboard over a board and files in which every text is hostile.

python -m tests.e2e.hostile_board FOLDER dashboard|sweeps|lines
"""

import json
import sys
from pathlib import Path

from runner.commands.lines import narrate
from runner.model import events as ev
from runner.model.board import Board
from runner.model.commands import Command, Reply
from runner.model.ids import JobId, PairId
from runner.model.outcome import Outcome
from runner.model.plan import JobSpec, Plan
from tests import hostile
from tests.pilot.boards import FakeSource, Maker
from tests.pilot.tries import Probe
from tui.app import ChooserApp, CoopdeckApp
from tui.glyphs import wants_ascii
from tui.screens.sweeps import SweepLine

EVIL = hostile.text()
NAME = EVIL.replace("/", "").replace("\0", "")[:200]
"""As the name of a file might be."""
NAMES = ("running", "failed", "retrying", "done")


class HostileSource(FakeSource):
    """Answers every command with a hostile sentence."""

    async def ask(self, command: Command) -> Reply:
        return Reply(False, EVIL)


def board(folder: Path) -> Maker:
    maker = Maker()
    specs = tuple(
        JobSpec(JobId(f"job-{name}"), f"{name} {NAME}", "run", PairId(NAME, number, (1, 2)), EVIL)
        for number, name in enumerate(NAMES)
    )
    plan = Plan(EVIL, (EVIL,), str(folder), tuple(spec.setting for spec in specs), (EVIL, "other"), EVIL, attempts=3)
    maker.happen(ev.SweepPlanned(plan), ev.JobsPlanned(specs), ev.RunnerStarted(1, EVIL, EVIL))
    maker.happen(ev.QueueHeld(EVIL, EVIL))
    for spec, name in zip(specs, NAMES, strict=True):
        maker.start(spec.id)
        maker.happen(ev.ResultDelivered(spec.id, 1, str(folder / "results" / name)))
    running, failed, retrying, done = (spec.id for spec in specs)
    for agent in ("agent1", EVIL):
        maker.happen(ev.AgentSeen(running, 1, agent, "exec", 3, 0.1, command=EVIL, peer=EVIL))
        maker.happen(ev.ContainerStarted(running, 1, agent, EVIL, EVIL))
    maker.end(failed, Outcome("unknown", EVIL, EVIL, 0.1))
    maker.end(retrying, Outcome("rate", EVIL, EVIL, 0.1), settle=False)
    maker.happen(ev.RetryScheduled(retrying, 2, 1e6, EVIL))
    maker.end(done, Outcome(None, EVIL, EVIL, 0.1, patch_lines=1))
    return maker


def files(folder: Path) -> None:
    """Each job's attempt and results: the first tells by its probe, the others by what upstream wrote."""
    for number, name in enumerate(NAMES):
        attempt = folder / "attempts" / f"job-{name}" / "1"
        probe = Probe(attempt)
        (attempt / "output.log").write_bytes(hostile.corpus())
        results = folder / "results" / name
        results.mkdir(parents=True)
        if number < 2:
            for agent in ("agent1", "agent2", EVIL[:60]):
                probe.step(agent, 1, 1, f"git push\n{EVIL[:3000]}", EVIL[:3000], ended=(1, 0.1, EVIL[:3000]))
                probe.tell("llm_retry", agent, 2, **{"class": EVIL[:90], "attempt": 1, "of": 2, "wait_s": 1})
                probe.letter("message_sent", agent, EVIL[:40], 3, EVIL[:6000], wait=True)
                probe.letter("message_received", agent, EVIL[:40], 4, EVIL[:6000])
                probe.tell("agent_end", agent, 5, status=EVIL[:90], error=EVIL[:900])
        else:
            messages = [
                {"role": "assistant", "content": EVIL, "extra": {"actions": [{"command": EVIL}]}},
                {"role": "tool", "content": "x", "extra": {"returncode": 1, "raw_output": EVIL}},
                {"role": "exit", "content": EVIL, "extra": {"exit_status": EVIL, "exception_str": EVIL}},
            ]
            (results / "agent1_traj.json").write_text(json.dumps({"agent_id": EVIL, "messages": messages}))
            said = [{"from": EVIL, "to": EVIL, "message": EVIL, "timestamp": None}]
            (results / "conversation.json").write_text(json.dumps(said))
        line = hostile.LINE.replace(b"\n", b" ")
        diff = b"diff --git a/" + line + b" b/" + line + b"\n--- a/x\n+++ b/" + line + b"\n@@ -1,9 +1,9 @@ " + line
        (results / "agent1.patch").write_bytes(diff + b"\n+" + b"\n+".join(hostile.corpus().split(b"\n")[:400]) + b"\n")


def main(folder: Path, what: str) -> None:
    if what == "sweeps":
        lines = [SweepLine(f"{number}{EVIL}", EVIL, EVIL, EVIL, EVIL) for number in range(3)]
        ChooserApp(lines, ascii_only=wants_ascii()).run()
        return
    maker = board(folder)
    if what == "lines":
        print("\n".join(narrate(Board(), maker.envelopes)))
        return
    files(folder)
    source, saves = HostileSource(maker, folder), folder / "saves"
    CoopdeckApp(source, ascii_only=wants_ascii(), now=lambda: maker.at + 1000, screenshots=saves).run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
