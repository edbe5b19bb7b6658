"""What the real `claude` and `codex` write, in their documented shapes, for tests and for stand-ins in a container."""

import json
from typing import Any

SPENT_USD = 0.0421


def _usage(fresh: int, cached: int, made: int, output: int) -> dict[str, int]:
    return {
        "input_tokens": fresh, "cache_read_input_tokens": cached, "cache_creation_input_tokens": made,
        "output_tokens": output,
    }  # fmt: skip


def _answer(name: str, block: dict[str, Any], usage: dict[str, int]) -> dict[str, Any]:
    message = {"id": name, "type": "message", "role": "assistant", "model": "claude-sonnet-4-6", "content": [block]}
    return {"type": "assistant", "message": {**message, "usage": usage}, "session_id": "s", "parent_tool_use_id": None}


def _tool(name: str, tool: str, given: dict[str, str]) -> dict[str, Any]:
    return {"type": "tool_use", "id": name, "name": tool, "input": given}


def _result(name: str, content: object, *, bad: bool = False) -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": name, "content": content, "is_error": bad}
    return {"type": "user", "message": {"role": "user", "content": [block]}, "session_id": "s"}


CLAUDE: list[dict[str, Any]] = [
    {"type": "system", "subtype": "init", "session_id": "s", "model": "claude-sonnet-4-6", "tools": ["Bash", "Edit"]},
    # Two blocks of one answer: two events, one id, the usage twice.
    _answer("m1", {"type": "text", "text": "I look around."}, _usage(300, 1000, 200, 2)),
    _answer("m1", _tool("t1", "Bash", {"command": "ls -la"}), _usage(300, 1000, 200, 2)),
    _result("t1", "calc.py\n"),
    _answer("m2", _tool("t2", "Edit", {"file_path": "/workspace/repo/calc.py"}), _usage(100, 1500, 100, 3)),
    _result("t2", [{"type": "text", "text": "no such text"}], bad=True),
    _answer("m3", {"type": "text", "text": "Done."}, _usage(50, 1700, 50, 1)),
    {
        "type": "result", "subtype": "success", "is_error": False, "num_turns": 3, "result": "Done.", "session_id": "s",
        "total_cost_usd": SPENT_USD, "usage": _usage(450, 4200, 350, 300),
    },
]  # fmt: skip
CODEX: list[dict[str, Any]] = [
    {"type": "thread.started", "thread_id": "t"},
    {"type": "turn.started"},
    {"type": "item.completed", "item": {"id": "item_0", "type": "reasoning", "text": "I look around."}},
    {"type": "item.started", "item": {"id": "item_1", "type": "command_execution", "command": "bash -lc ls",
     "aggregated_output": "", "exit_code": None, "status": "in_progress"}},
    {"type": "item.completed", "item": {"id": "item_1", "type": "command_execution", "command": "bash -lc ls",
     "aggregated_output": "calc.py\n", "exit_code": 0, "status": "completed"}},
    {"type": "item.completed", "item": {"id": "item_2", "type": "file_change", "status": "completed",
     "changes": [{"path": "/workspace/repo/calc.py", "kind": "update"}]}},
    {"type": "item.completed", "item": {"id": "item_3", "type": "agent_message", "text": "Done."}},
    {"type": "turn.completed", "usage": {"input_tokens": 24763, "cached_input_tokens": 24448, "output_tokens": 122}},
]  # fmt: skip


GO_ON, LEAVE = "/tmp/go-on", "/tmp/leave"


def stand_in(events: list[dict[str, Any]]) -> str:
    """A program that writes these events and a patch where upstream looks; it waits before the last, and to leave."""
    return (
        "#!/usr/bin/env python3\nimport json, pathlib, sys, time\n"
        "if '--version' in sys.argv:\n    print('1.0.0 (stand-in)')\n    sys.exit()\n"
        "def wait(gate):\n    for _ in range(4800):\n"
        "        time.sleep(0 if pathlib.Path(gate).exists() else 0.05)\n"
        f"*events, last = json.loads({json.dumps(events)!r})\n"
        "for event in events:\n    print(json.dumps(event), flush=True)\n"
        f"wait({GO_ON!r})\nprint(json.dumps(last), flush=True)\nwait({LEAVE!r})\n"
        "pathlib.Path('/workspace/repo/patch.txt').write_text('diff --git a/x b/x\\nnew file mode 100644\\n"
        "--- /dev/null\\n+++ b/x\\n@@ -0,0 +1 @@\\n+x\\n')\n"
    )
