"""A try's files for the panes' tests: what a probe tells of a coop pair, and patches."""

import json
from pathlib import Path

AT = 1_771_390_000.0


class Probe:
    """Appends lines to a probe.jsonl as the probe would."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "probe.jsonl"

    def tell(self, kind: str, agent: str | None, at: float, **fields: object) -> None:
        with self.path.open("a", encoding="utf-8") as out:
            out.write(json.dumps({"v": 1, "at": AT + at, "type": kind, "agent": agent, **fields}) + "\n")

    def step(
        self,
        agent: str,
        number: int,
        at: float,
        command: str,
        thought: str = "",
        *,
        cost: float | None = 0.01,
        ended: tuple[int, float, str] | None = (0, 0.4, "fine\n"),
    ) -> None:
        self.tell("llm_end", agent, at, latency_s=3.2, cost_usd=cost, status="ok", counted=True)
        self.tell("step", agent, at, step=number, command=command, thought=thought, cost_usd=cost)
        if ended is not None:
            returncode, seconds, output = ended
            self.tell("exec_end", agent, at + seconds, returncode=returncode, seconds=seconds, output=output)

    def letter(self, kind: str, sender: str, to: str, at: float, text: str, **fields: object) -> None:
        agent = to if kind == "message_received" else sender
        self.tell(kind, agent, at, **{"from": sender, "to": to, "text": text, **fields})


def talking(folder: Path) -> Probe:
    """A pair at work: messages read, waited for and lost, a push that fails, a retry, something hostile."""
    probe = Probe(folder)
    probe.tell("probe_begin", None, 0, pid=1, sees="loggers")
    probe.step("agent1", 1, 4, "ls -la\ngit log --oneline -5", "Let me look around first.\nThen I plan.")
    probe.step("agent2", 1, 5, "cat README.md", "I read the README.", ended=(0, 0.1, "# click\n" * 60))
    first = "I take the parser in core.py, you take the help page. Is that all right with you? Tell me what you need."
    probe.step("agent1", 2, 9, f'send_message --wait agent2 "{first}"', "I ask agent2.", ended=None)
    probe.letter("message_sent", "agent1", "agent2", 9, first, wait=True)
    probe.letter("message_received", "agent1", "agent2", 13.5, first)
    answer = "Yes.\nI only touch help.py and its tests."
    probe.step("agent2", 2, 15, "send_message agent1 'Yes.'", "I agree.")
    probe.letter("message_sent", "agent2", "agent1", 15, answer, wait=False)
    probe.letter("message_received", "agent2", "agent1", 16, answer)
    probe.tell("exec_end", "agent1", 16.2, returncode=0, seconds=7.2, output="Message sent to agent2")
    probe.tell("llm_retry", "agent2", 18, **{"class": "RateLimitError", "attempt": 3, "of": 10, "wait_s": 8.0})
    probe.letter("message_lost", "agent2", "agent9", 19, "Is anybody there?", wait=False)
    probe.step("agent1", 3, 20, "pytest -q tests/test_options.py", "Now the tests.", ended=(1, 12.4, "1 failed\n"))
    probe.step(
        "agent1", 4, 36, "git commit -qam wip && git push origin HEAD:agent1", "I push.",
        cost=None, ended=(128, 0.8, "fatal: \x1b[31mno remote\x1b[0m\n"),
    )  # fmt: skip
    probe.step("agent2", 3, 38, "gh pr create --title x", "[red]markup[/] \x1b]52;c;ZXZpbA==\x07 \u202etsal")
    probe.letter("message_sent", "agent1", "agent2", 40, "My push failed \x1b]0;title\x07[b]look[/b]", wait=False)
    probe.step("agent1", 5, 44, "sleep 100", "I wait for the build.", ended=None)
    return probe


PATCHES = {
    "agent1.patch": (
        "diff --git a/src/click/core.py b/src/click/core.py\n"
        "index 4693ad3..ee2a0a3 100644\n"
        "--- a/src/click/core.py\n"
        "+++ b/src/click/core.py\n"
        "@@ -10,4 +10,5 @@ class Context:\n"
        " def parse(self):\n"
        "-    return None\n"
        "+    value = self.read()\n"
        "+    return value\n"
        "     # end\n"
        "--- a line that begins with dashes\n"
        "diff --git a/tests/test_core.py b/tests/test_core.py\n"
        "new file mode 100644\n"
        "--- /dev/null\n"
        "+++ b/tests/test_core.py\n"
        "@@ -0,0 +1,2 @@\n"
        "+def test_parse() -> None:\n"
        "+++ [red]\x1b]52;c;ZXZpbA==\x07\n"
    ),
    "agent2.patch": (
        "diff --git a/src/click/core.py b/src/click/core.py\n"
        "--- a/src/click/core.py\n"
        "+++ b/src/click/core.py\n"
        "@@ -1 +1 @@\n"
        "-import os\n"
        "+import sys\n"
        "\\ No newline at end of file\n"
    ),
}


def patched(folder: Path) -> None:
    """Both agents' patches, where upstream writes them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in PATCHES.items():
        (folder / name).write_text(text, encoding="utf-8")
