"""Everything that is looked at, in the order in which it is told."""

from collections.abc import Mapping

from runner.adapters.ping import ANSWER_S, LOAD_S
from runner.checks.dataset import check_dataset
from runner.checks.docker import ANSWER_S as DOCKER_S
from runner.checks.docker import check_engine, check_git_server, check_images, check_storage
from runner.checks.folders import check_folders
from runner.checks.machine import check_clock, check_limits, check_logout, check_terminal
from runner.checks.models import check_models
from runner.checks.program import CLI_S, check_program
from runner.checks.redis import check_redis
from runner.checks.running import Check
from runner.checks.surroundings import check_variables
from runner.checks.wanted import Wanted

SPARE_S = 5.0


def all_checks(wanted: Wanted, options: Mapping[str, object]) -> tuple[Check, ...]:
    """What `coopdeck doctor` looks at for a sweep like `wanted`; `options` are those that `run` knows."""
    return (
        Check("cooperbench", lambda: check_program(wanted), LOAD_S + CLI_S + SPARE_S),
        Check("dataset", lambda: check_dataset(wanted)),
        Check("model", lambda: check_models(wanted), LOAD_S + ANSWER_S + SPARE_S),
        Check("environment", lambda: check_variables(wanted, options)),
        Check("docker", lambda: check_engine(wanted), DOCKER_S + SPARE_S),
        Check("storage", lambda: check_storage(wanted), DOCKER_S + SPARE_S),
        Check("images", lambda: check_images(wanted), DOCKER_S + SPARE_S),
        Check("git server", lambda: check_git_server(wanted), DOCKER_S + SPARE_S),
        Check("redis", lambda: check_redis(wanted)),
        Check("folders", lambda: check_folders(wanted)),
        Check("limits", lambda: check_limits(wanted)),
        Check("clock", lambda: check_clock(wanted)),
        Check("terminal", lambda: check_terminal(wanted)),
        Check("logout", lambda: check_logout(wanted)),
    )
