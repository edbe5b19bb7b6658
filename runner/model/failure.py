"""From evidence to a failure class: by exception class, errno and signal, never by searching free text.

The order of evidence: our own act, the result file, the trajectory's exception class, an anchored
`litellm.<Class>:` at the start of the error, errno, signal.
"""

import re
from dataclasses import dataclass
from signal import Signals

from runner.model.outcome import FailureClass
from runner.model.secrets import Mask, masked_text

EVIDENCE_LIMIT = 200

_BY_EXCEPTION: dict[str, FailureClass] = {
    "AuthenticationError": "auth",
    "PermissionDeniedError": "auth",
    "NotFoundError": "config",
    "BadRequestError": "request",
    "InvalidRequestError": "request",
    "UnsupportedParamsError": "request",
    "UnprocessableEntityError": "request",
    "ContextWindowExceededError": "model",
    "ContentPolicyViolationError": "model",
    "BudgetExceededError": "quota",
    "RateLimitError": "rate",
    "Timeout": "provider",
    "ServiceUnavailableError": "provider",
    "BadGatewayError": "provider",
    "InternalServerError": "provider",
    "APIError": "provider",
    "APIConnectionError": "network",
    "APIResponseValidationError": "provider",
    "JSONSchemaValidationError": "model",
    "ImageNotFound": "image",
    "DockerException": "docker",
    "APIErrorDocker": "docker",
    "MemoryError": "host",
}
"""litellm's exceptions (litellm/exceptions.py) and the few of docker and Python that upstream lets through."""

_QUOTA = re.compile(
    r"litellm\.\w+: (?:\w+: )?\w+Exception - .{0,200}?"
    r"(?:'code': 'insufficient_quota'|\"code\": ?\"insufficient_quota\"|You exceeded your current quota|"
    r"HTTP 402|Payment Required)",
    re.DOTALL,
)
"""What a provider's own error record says, within the anchored litellm error: never text of an agent."""

_LITELLM = re.compile(r"litellm\.(?:exceptions\.)?(?P<name>[A-Z]\w+):")
_ERRNO = re.compile(r"(?:OSError: )?\[Errno (?P<number>\d+)\]")
_HOST_ERRNO = {12, 23, 24, 28, 122}  # ENOMEM, ENFILE, EMFILE, ENOSPC, EDQUOT
_DOCKER_RUN = re.compile(
    r"Command '\['(?:[^']*/)?docker', 'run'.*(?:returned non-zero exit status (?P<status>\d+)|timed out after)",
    re.DOTALL,
)
_REDIS = re.compile(
    r"Error (?:-?\d+ )?connecting to \S+:\d+\.|"
    r"Error (?:while reading from|\d+ while writing to) (?:socket\b|\S+:\d+ ?:)|"
    r"Connection closed by server\.$|Timeout (?:(?:reading from|writing to) socket|connecting to server)$"
)
"""How redis-py words it, where no trajectory names its exceptions: an agent that never began leaves its text alone."""
_DOCKER_409 = re.compile(r"409 Client Error|Error response from daemon: [Cc]ontainer \w+ is not running")

INFRASTRUCTURE: frozenset[FailureClass] = frozenset(
    {
        "auth", "config", "request", "quota", "rate", "provider", "network", "image", "registry", "docker",
        "container", "redis", "host", "oom", "timeout", "lost", "crash", "corrupt", "empty", "quarantine",
    }
)  # fmt: skip
"""Failures that say nothing about the agents; a job that ends in one is tagged in its result.json."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of an attempt that ended badly."""

    exception: str = ""
    """The class that the trajectory's last message names, or a traceback's last line (`redis.exceptions.X`)."""
    error: str = ""
    """The `error` of result.json, or the text behind the class in a traceback's last line."""
    exit_status: int | None = None
    """Of the process; negative for a signal; None where unknown."""


def classify(evidence: Evidence, mask: Mask = masked_text) -> tuple[FailureClass, str]:
    """The class and one line of evidence for an agent's error or a process that left no result.

    Some providers quote the key that they refuse: `mask` is what takes secrets out of the line.
    """
    name = evidence.exception.rsplit(".", 1)[-1]
    anchored = _LITELLM.match(evidence.error)
    if anchored is not None:
        name = anchored["name"]
    line = quoted(evidence.error or evidence.exception, mask)
    if name and not line.startswith(("litellm.", name)) and evidence.exception:
        line = quoted(f"{evidence.exception}: {evidence.error}", mask)
    if name == "RateLimitError" and _QUOTA.match(evidence.error):
        return "quota", line
    if evidence.exception.startswith("redis.") or _REDIS.match(evidence.error):
        return "redis", line
    if evidence.exception.startswith("docker.errors.") and name == "APIError":
        return "docker", line
    if name in _BY_EXCEPTION:
        return _BY_EXCEPTION[name], line
    errno = _ERRNO.match(evidence.error)
    if errno is not None and int(errno["number"]) in _HOST_ERRNO:
        return "host", line
    docker_run = _DOCKER_RUN.match(evidence.error)
    if docker_run is not None:
        return ("docker" if docker_run["status"] else "registry"), line
    if _DOCKER_409.match(evidence.error):
        return "container", line
    if evidence.exit_status is not None and evidence.exit_status < 0 and not evidence.error:
        return _by_signal(-evidence.exit_status)
    return "unknown", line or "no evidence of the cause"


def _by_signal(number: int) -> tuple[FailureClass, str]:
    try:
        name = Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if number == Signals.SIGKILL:
        return "oom", "the process was killed (SIGKILL) and not by coopdeck: the kernel's memory killer does this"
    return "crash", f"the process died of {name} and left no result"


def quoted(text: str, mask: Mask = masked_text) -> str:
    """Somebody else's words as a line of evidence; masked before they are cut, or half a secret would be left."""
    return one_line(mask(text[: EVIDENCE_LIMIT * 16]))


def one_line(text: str) -> str:
    """The text's first words on one line, at most EVIDENCE_LIMIT characters."""
    flat = " ".join(text[: EVIDENCE_LIMIT * 8].split())
    return flat if len(flat) <= EVIDENCE_LIMIT else flat[: EVIDENCE_LIMIT - 1] + "…"
