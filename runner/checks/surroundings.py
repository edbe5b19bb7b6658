"""The environment that the agents will get: what is in it, where each value comes from, and what looks mistaken."""

import re
from collections.abc import Mapping

from runner.adapters.cooperbench import DEFAULTS
from runner.adapters.dotenv_file import NAME, project_dotenv
from runner.checks.wanted import Wanted
from runner.model.check import Finding, Variable
from runner.model.secrets import is_secret_name, masked
from runner.model.selection import closest

CHECK = "environment"
PREFIX = "COOPDECK_"
OTHERS = frozenset({"COOPDECK_E2E_COOPERBENCH", "COOPDECK_REQUIRE_DOCKER", "COOPDECK_DOCKER", "COOPDECK_TOKEN"})
"""Read by tests, by the shim, or by the runner: no options of `run`."""
_TELLING = re.compile(
    r"_API_(?:KEY|BASE|VERSION)$|_BASE_URL$|^(?:MSWEA|LITELLM|COOPERBENCH|OPENAI|ANTHROPIC|AZURE|AWS|GOOGLE|VERTEX|COHERE"
    r"|GEMINI|CLAUDE_CODE|DOCKER|MODAL|HF|REDIS)_|_PROXY$|^(?:SSL_CERT_FILE|REQUESTS_CA_BUNDLE|OLLAMA_HOST)$",
    re.IGNORECASE,
)


def agents_variables(wanted: Wanted) -> list[Variable]:
    """What bears on the models, sorted by name and masked; of the rest of the caller's environment nothing is said."""
    dotenv = project_dotenv(wanted.root)
    found: list[Variable] = []
    for name, value in sorted(wanted.environment().items()):
        if wanted.caller.get(name) == value:
            origin = "environment"
        elif dotenv.get(name) == value:
            origin = NAME
        elif DEFAULTS.get(name) == value:
            origin = "coopdeck"
        else:
            origin = "arguments"
        if origin in {NAME, "arguments"} or _TELLING.search(name):
            found.append(Variable(name, masked(name, value), origin))
    return found


def check_variables(wanted: Wanted, options: Mapping[str, object]) -> list[Finding]:
    """Misspelt variables of coopdeck's own, and keys with something around them; `options` are those of `run`."""
    findings = [Finding(CHECK, "warn", *said) for said in misspelt(wanted.caller, options)]
    for name, value in sorted(wanted.environment().items()):
        if is_secret_name(name) and _TELLING.search(name) and value != value.strip().strip("'\""):
            findings.append(
                Finding(CHECK, "warn", f"the value of {name} has blanks or quotes around it", "set it without them")
            )
    path = wanted.root / NAME
    if path.is_file() and not project_dotenv(wanted.root):
        findings.append(Finding(CHECK, "warn", f"{path} sets nothing, or cannot be read", "write NAME=value into it"))
    if findings:
        return findings
    dotenv = f", {len(project_dotenv(wanted.root))} variables from .env" if path.is_file() else ", no .env"
    return [Finding(CHECK, "ok", f"{len(agents_variables(wanted))} variables that agents go by{dotenv}")]


def misspelt(environment: Mapping[str, str], options: Mapping[str, object]) -> list[tuple[str, str]]:
    """(sentence, remedy) for each variable that looks like coopdeck's and is none."""
    known = [PREFIX + name.upper() for name in options]
    return [
        (f"coopdeck reads no variable {name}", closest(name, known) if _close(name, known) else "unset it")
        for name in sorted(environment)
        if name.startswith(PREFIX) and name not in known and name not in OTHERS
    ]


def _close(name: str, known: list[str]) -> bool:
    return closest(name, known).startswith("did you mean")
