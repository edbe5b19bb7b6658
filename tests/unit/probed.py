"""What the probe's tests have in common: where it is, and its lines, each of which is as all are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PROBE = ROOT / "runner" / "probe"


def lines_of(path: Path, kind: str = "") -> list[dict[str, Any]]:
    raw = path.read_bytes()
    assert raw.endswith(b"\n")
    lines = []
    for line in raw.splitlines(keepends=True):
        assert len(line) <= 8192
        fields = json.loads(line)
        assert (fields["v"], type(fields["at"])) == (1, float)
        assert {"type", "agent"} <= set(fields)
        lines.append(fields)
    assert len(raw.decode().splitlines()) == len(lines)
    return [line for line in lines if kind in ("", line["type"])]
