"""The preflight of `coopdeck run` against a real litellm and the scripted endpoint: what it says, what it costs.

Some sweeps are started at the same time: each is 4 s of importing litellm, and the preflight does not wait for ever.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from runner.model.plan import AGENT
from tests.e2e.dataset import REPO
from tests.e2e.endpoint import KEY, PING, Fault, ScriptedEndpoint
from tests.ports import closed_port

pytestmark = pytest.mark.docker

SECRET = "sk-very-secret-0123456789"
AT_ONCE = 3
CONFIG = "model:\n  model_kwargs:\n    api_base: {}\n"


@dataclass
class Case:
    """One wrong thing, and what is to be seen of it."""

    says: str
    requests: int
    model: str = "openai/gpt-4o"
    agent: str = AGENT
    faults: tuple[Fault, ...] = ()
    base: Callable[[str], str] = lambda base: base
    environment: dict[str, str] = field(default_factory=dict)
    in_config: bool = False
    """The address stands in the agent configuration, not in the environment."""
    dead: bool = False
    """Nothing listens at the address."""
    status: int = 3


CASES = {
    "wrong key": Case("does not accept the key for openai/gpt-4o; correct OPENAI_API_KEY", 1,
                      environment={"OPENAI_API_KEY": SECRET}),
    "no key": Case("no key for openai/gpt-4o: OPENAI_API_KEY is not set; export OPENAI_API_KEY, or put it into .env", 0,
                   environment={"OPENAI_API_KEY": ""}),
    "wrong base URL": Case("/v9/chat/completions: 404; correct OPENAI_BASE_URL: litellm adds /chat/completions", 1,
                           base=lambda base: base.replace("/v1", "/v9")),
    "a Cohere address": Case("/v2: 404; correct api_base in the agent configuration: litellm takes a Cohere address as "
                             "it stands, so it ends in /v2/chat, not in /v2", 1, model="cohere_chat/command-a-03-2025",
                             base=lambda base: base.replace("/v1", "/v2"), in_config=True,
                             environment={"COHERE_API_KEY": KEY}),
    "wrong model": Case("has no model openai/gpt-4p, or the key may not use it; correct -m", 1, model="openai/gpt-4p"),
    "unknown agent": Case("cooperbench 0.0.29 knows no agent 'mini_swe_agent_v3'; correct --agent: it knows "
                          "claude_code, codex, mini_swe_agent_v2, ", 0, agent="mini_swe_agent_v3"),
    "dead endpoint": Case("nothing listens at http://127.0.0.1:", 0, dead=True),
    # A doubt holds nothing up.
    "rate limit": Case("knows the key for openai/gpt-4o, but limits its rate now; wait, or use fewer slots", 1,
                       faults=(Fault("status", agent=PING, status=429),), status=0),
    "no price": Case('litellm has no price for openai/mine: what it costs will be unknown, and --budget cannot '
                     'hold it; give its price in coopdeck.toml, below [prices."openai/mine"]', 1,
                     model="openai/mine", status=0),
}  # fmt: skip


@dataclass
class Run:
    status: int
    stderr: str
    out: str
    requests: int
    folder: Path


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory, cooperbench_program: Path, docker_engine: str, toy_dataset: Path
) -> Iterator[dict[str, Run]]:
    """Every case's `coopdeck run`, over."""
    with ExitStack() as stack:
        prepared = []
        for case in CASES.values():
            folder = tmp_path_factory.mktemp("preflight")
            endpoint = stack.enter_context(ScriptedEndpoint(*case.faults))
            base = case.base(endpoint.base_url)
            if case.dead:
                base = f"http://127.0.0.1:{stack.enter_context(closed_port())}/v1"
            environment = os.environ | endpoint.environment | {"OPENAI_BASE_URL": base} | case.environment
            arguments = ["-m", case.model, "--settings", "solo", "--pairs", f"{REPO}/1/f1_f2"]
            arguments += ["--dataset-dir", str(toy_dataset), "--cooperbench", str(cooperbench_program), "--detach"]
            arguments += ["--agent", case.agent]
            if case.in_config:
                (folder / "agent.yaml").write_text(CONFIG.format(base))
                arguments += ["--agent-config", "agent.yaml"]
            prepared.append((arguments, folder, environment, endpoint))
        with ThreadPoolExecutor(AT_ONCE) as some:
            yield dict(zip(CASES, some.map(lambda one: _run(*one), prepared), strict=True))


def _run(arguments: list[str], folder: Path, environment: dict[str, str], endpoint: ScriptedEndpoint) -> Run:
    command = [sys.executable, "-P", "-m", "runner.cli"]
    ran = subprocess.run(
        [*command, "run", "s", *arguments], cwd=folder, env=environment, text=True, stdin=subprocess.DEVNULL,
        capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    if ran.returncode == 0:
        subprocess.run([*command, "stop", "s", "--now"], cwd=folder, capture_output=True, timeout=300, check=False)
    pings = len(endpoint.pings) + sum(path != "/v1/chat/completions" for path in endpoint.requested)
    return Run(ran.returncode, ran.stderr, ran.stdout, pings, folder)


@pytest.mark.parametrize("name", CASES)
def test_it_is_one_sentence_with_its_remedy_and_one_request(name: str, runs: dict[str, Run]) -> None:
    case, run = CASES[name], runs[name]
    assert case.says in run.stderr
    assert run.status == case.status
    assert run.requests == case.requests
    lines = run.stderr.splitlines()
    assert all(line.startswith("coopdeck: ") for line in lines)
    assert SECRET not in run.stderr + run.out
    assert len(lines) == 1
    if case.status == 3:
        assert not (run.folder / ".coopdeck").exists()
