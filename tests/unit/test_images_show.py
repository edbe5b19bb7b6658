"""How pulls are shown in a terminal of 80 columns: nothing that the user has to know is cut."""

import io
import os
import shutil
import sys

import anyio
import pytest

from runner.commands.images_show import Show
from runner.model.supplies import Supply, image_name

NAMES = [image_name("huggingface_datasets_task", task) for task in (1, 2, 3)]
RATE = "the registry's rate limit is reached: next try in 60 s ('docker login' may help)"


def test_a_bar_for_each_image_and_the_whole_of_what_is_wrong_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "get_terminal_size", lambda *_: os.terminal_size((80, 24)))
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    show = Show(3, 0, as_json=False)

    async def told() -> None:
        await show.told(Supply("image", NAMES[0], "getting", "pulling, 7 of 14 layers", 500_000_000, 1_000_000_000))
        await show.told(Supply("image", NAMES[1], "getting", RATE))
        await show.told(Supply("image", NAMES[2], "getting", "waits for its turn"))

    anyio.run(told)
    show.end()
    assert isinstance(sys.stdout, io.StringIO)
    lines = sys.stdout.getvalue().splitlines()
    assert max(map(len, lines)) <= 79
    assert lines[0].startswith("huggingface-datasets:task1")
    assert lines[0].endswith("7 of 14 layers")
    assert " 50% " in lines[0]
    assert RATE in " ".join(line.strip() for line in lines[2:-1])
    assert lines[-1] == "0 of 3 here, 1 wait, 0 failed, 500 MB fetched"
