"""The image of upstream's git server, which agents share code through with `--git`: looked for, else built ahead.

Upstream itself builds it in the first job that wants it, for as long as that takes, and several jobs at once would.
Its container is upstream's own and shared by all runs of the machine: jobs start it, and nobody here ends it.
"""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio

from runner.adapters.program import interpreter
from runner.engine.ports import Tell
from runner.model.failure import one_line
from runner.model.plan import JobSpec, Plan
from runner.model.supplies import Supply, SupplyKind, needed

LOOK_S = 60.0
BUILD_S = 900.0
"""It downloads a small Debian and git."""
AGAIN_S = 10.0
ABSENT = 3
_NO_ENGINE = "docker.errors.DockerException: "
_REMEDY = "mend that and queue the jobs again (coopdeck retry), or leave out --git"
# Upstream's own recipe, tag and SDK, without importing all of upstream: that takes seconds.
_SCRIPT = f"""
import importlib.util, io, os, sys
import docker
root = importlib.util.find_spec("cooperbench").submodule_search_locations[0]
path = os.path.join(root, "agents", "mini_swe_agent_v2", "connectors", "git_servers", "docker.py")
spec = importlib.util.spec_from_file_location("coopdeck_git_server", path)
upstream = importlib.util.module_from_spec(spec)
spec.loader.exec_module(upstream)
client = docker.from_env()
if sys.argv[1] == "build":
    recipe = io.BytesIO(upstream._DOCKERFILE)
    client.images.build(fileobj=recipe, tag=upstream._IMAGE_TAG, rm=True, forcerm=True)
try:
    client.images.get(upstream._IMAGE_TAG)
except docker.errors.ImageNotFound:
    sys.exit({ABSENT})
"""


class _Failed(Exception):
    """The message says why."""


class _Silent(Exception):
    """Docker does not answer now; the message says why."""


class GitSupply:
    """The port `Supplier`."""

    kind: SupplyKind = "git"

    def __init__(self, environment: Mapping[str, str], working_dir: Path) -> None:
        self._environment = dict(environment)
        self._working_dir = working_dir
        self._wanted = anyio.Event()

    def want(self, name: str) -> None:
        self._wanted.set()

    async def supply(self, plan: Plan, jobs: Sequence[JobSpec], tell: Tell) -> None:
        if not any((self.kind, "") in needed(plan, spec) for spec in jobs):
            await self._wanted.wait()
        while True:
            self._wanted = anyio.Event()
            await tell(Supply(self.kind, state="getting", says="looking for upstream's image"))
            try:
                if not await self._run(plan, "look", LOOK_S):
                    await tell(Supply(self.kind, state="getting", says="building upstream's image"))
                    if not await self._run(plan, "build", BUILD_S):
                        raise _Failed("it was built, and is not there")
            except _Silent as error:
                await tell(Supply(self.kind, state="down", says=str(error)))
                await anyio.sleep(AGAIN_S)
                continue
            except (_Failed, OSError) as error:
                says = f"upstream's image cannot be made: {one_line(str(error))}; {_REMEDY}"
                await tell(Supply(self.kind, state="failed", says=says))
            else:
                await tell(Supply(self.kind, state="there", says="its image is there"))
            await self._wanted.wait()

    async def end(self) -> None:
        """Nothing was started that is ours."""

    async def _run(self, plan: Plan, what: str, within_s: float) -> bool:
        """Whether the image is there now; raises _Failed, OSError."""
        python = interpreter(Path(plan.program[0]))
        if python is None:
            return True  # nobody can look into a program of another kind: it sees to its server itself
        try:
            with anyio.fail_after(within_s):
                done = await anyio.run_process(
                    [python, "-P", "-c", _SCRIPT, what],
                    check=False,
                    stdin=subprocess.DEVNULL,
                    env=self._environment,
                    cwd=self._working_dir,
                )
        except TimeoutError:
            raise _Failed(f"not done after {within_s:g} s") from None
        if done.returncode not in {0, ABSENT}:
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            last = lines[-1] if lines else f"exit status {done.returncode}"
            raise _Silent(one_line(last)) if last.startswith(_NO_ENGINE) else _Failed(last)
        return done.returncode == 0
