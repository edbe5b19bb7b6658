"""What the dashboard costs at 300 and at 10,000 jobs: memory, and the time from a change to its paint."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.bench

ROUNDS = 200
MEASURE = f"""
import asyncio, gc, os, sys, time
sys.path.insert(0, os.getcwd())
import psutil
from tests.pilot.boards import NOW, FakeSource, many
from runner.model import events as ev
from tui.app import CoopdeckApp

count = int(sys.argv[1])
process = psutil.Process()

async def main() -> None:
    maker = many(count)
    source = FakeSource(maker)
    gc.collect()
    before = process.memory_info().rss
    app = CoopdeckApp(source, now=lambda: NOW)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.5)
        job = maker.board.order[3]
        spent = time.process_time()
        for number in range({ROUNDS}):
            source.happen(ev.AgentSeen(job, 1, "agent1", "llm", number, number / 100))
            # The link lets ten changes a second through; each is waited for.
            await asyncio.sleep(0.11)
            await pilot.pause()
        spent = time.process_time() - spent
        gc.collect()
        after = process.memory_info().rss
    print(before / 2**20, after / 2**20, spent / {ROUNDS} * 1000)

asyncio.run(main())
"""


@pytest.mark.parametrize("count", [300, 10_000])
def test_memory_and_time_of_a_change(count: int) -> None:
    ran = subprocess.run([sys.executable, "-c", MEASURE, str(count)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    board, app, change = map(float, ran.stdout.split())
    print(
        f"\n{f'the dashboard, {count} jobs, 120x40':<44} {'measured':>10}\n"
        f"{'memory with the board alone, MB':<44} {board:>10.1f}\n"
        f"{'memory with the dashboard, MB':<44} {app:>10.1f}\n"
        f"{'CPU of one change, paint and test, ms':<44} {change:>10.2f}"
    )
