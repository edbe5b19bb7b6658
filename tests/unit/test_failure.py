"""The failure classes: by evidence, never by searching what agents or tests wrote."""

from functools import partial

import pytest

from runner.model.failure import EVIDENCE_LIMIT, Evidence, classify, one_line
from runner.model.outcome import FailureClass
from runner.model.retry import HOST_TRIES, verdict
from runner.model.secrets import masked_text

QUOTA = (
    "litellm.RateLimitError: RateLimitError: OpenAIException - Error code: 429 - {'error': {'message': 'You exceeded "
    "your current quota, please check your plan and billing details.', 'code': 'insufficient_quota'}}"
)
GOLDEN: list[tuple[Evidence, FailureClass]] = [
    (Evidence("AuthenticationError", "litellm.AuthenticationError: AuthenticationError: OpenAIException - x"), "auth"),
    (Evidence("PermissionDeniedError", "litellm.PermissionDeniedError: no"), "auth"),
    (Evidence("NotFoundError", "litellm.NotFoundError: OpenAIException - no such model"), "config"),
    (Evidence("BadRequestError", "litellm.BadRequestError: OpenAIException - bad"), "request"),
    (Evidence("ContextWindowExceededError", "litellm.ContextWindowExceededError: too long"), "model"),
    (Evidence("ContentPolicyViolationError", "litellm.ContentPolicyViolationError: no"), "model"),
    (Evidence("RateLimitError", QUOTA), "quota"),
    (Evidence("RateLimitError", "litellm.RateLimitError: RateLimitError: OpenAIException - slow down"), "rate"),
    (Evidence("Timeout", "litellm.Timeout: APITimeoutError - Request timed out."), "provider"),
    (Evidence("InternalServerError", "litellm.InternalServerError: OpenAIException - Connection error."), "provider"),
    (Evidence("APIConnectionError", "litellm.APIConnectionError: x"), "network"),
    (Evidence("redis.exceptions.ConnectionError", "Error 111 connecting to localhost:6379."), "redis"),
    (Evidence("redis.exceptions.AuthenticationError", "Authentication required."), "redis"),
    (Evidence("redis.exceptions.ResponseError", "MISCONF Redis is configured to save RDB snapshots"), "redis"),
    # An agent that cannot reach Redis when it begins has no trajectory, and its text alone tells.
    (Evidence("", "Error 111 connecting to 127.0.0.1:40111. Connection refused."), "redis"),
    (Evidence("", "Error -2 connecting to nowhere:6379. Name or service not known."), "redis"),
    (Evidence("", "Error while reading from 127.0.0.1:6379 : (104, 'Connection reset by peer')"), "redis"),
    (Evidence("", "Connection closed by server."), "redis"),
    (Evidence("", "Timeout reading from socket"), "redis"),
    (Evidence("", "Timeout connecting to server"), "redis"),
    (Evidence("", "the test says: Error 111 connecting to 127.0.0.1:1. Connection refused."), "unknown"),
    (Evidence("requests.exceptions.ConnectionError", "('Connection aborted.', OSError())"), "unknown"),
    (Evidence("docker.errors.DockerException", "Error while fetching server API version"), "docker"),
    (Evidence("docker.errors.APIError", "500 Server Error"), "docker"),
    (Evidence("docker.errors.ImageNotFound", "404 Client Error"), "image"),
    (Evidence("", "Command '['docker', 'run', '-d']' returned non-zero exit status 125."), "docker"),
    (Evidence("", "Command '['docker', 'run', '-d']' timed out after 120 seconds"), "registry"),
    (Evidence("", "[Errno 28] No space left on device: '/x'"), "host"),
    (Evidence("OSError", "[Errno 24] Too many open files"), "host"),
    (Evidence(exit_status=-9), "oom"),
    (Evidence(exit_status=-11), "crash"),
    # What a search for words gets wrong, both ways.
    (Evidence("", "litellm.BadRequestError: OpenAIException - Unsupported parameter: 'timeout'"), "request"),
    (Evidence("", "litellm.ContextWindowExceededError: ... `docker compose up` killed connection"), "model"),
    (Evidence("", "litellm.ServiceUnavailableError: AnthropicException - Overloaded"), "provider"),
    (Evidence("", "the test says: litellm.AuthenticationError: nope"), "unknown"),
    (Evidence("ValueError", "timeout while the container was killed, connection lost, docker"), "unknown"),
    (Evidence(), "unknown"),
]


@pytest.mark.parametrize(("evidence", "expected"), GOLDEN, ids=[f"{e.exception or e.error[:30]}" for e, _ in GOLDEN])
def test_a_failure_is_classed_by_its_evidence(evidence: Evidence, expected: FailureClass) -> None:
    failure, line = classify(evidence)
    assert failure == expected
    assert line
    assert "\n" not in line
    assert len(line) <= EVIDENCE_LIMIT


@pytest.mark.parametrize("before", range(100, EVIDENCE_LIMIT + 2))
def test_a_key_in_an_error_is_no_evidence_nor_is_a_part_of_it(before: int) -> None:
    key = "battery-staple.of-a-horse"
    head = "litellm.AuthenticationError: OpenAIException - Incorrect API key provided: "
    error = f"{head:<{before}}{key}. Find yours at https://example.org"
    failure, line = classify(Evidence("AuthenticationError", error), partial(masked_text, secrets=(key,)))
    assert failure == "auth"
    assert key[:6] not in line


def test_what_only_looks_like_a_key_is_no_evidence_either() -> None:
    key = "sk-proj-AbCdEf0123456789xyz"
    assert classify(Evidence("ValueError", f"bad key {key}")) == ("unknown", "ValueError: bad key ***")


def test_evidence_is_one_bounded_line() -> None:
    assert one_line("a\n\n b\t c") == "a b c"
    assert len(one_line("x" * 10_000_000)) == EVIDENCE_LIMIT


@pytest.mark.parametrize("failure", ["auth", "config", "request", "model", "quota", "image", "timeout", "unknown"])
def test_what_cannot_succeed_is_not_tried_again(failure: FailureClass) -> None:
    assert not verdict(failure, 1, 1, 3, 0.5).again


@pytest.mark.parametrize(("failure", "tries"), [("provider", 3), ("crash", 3), ("container", 2), ("lost", 2)])
def test_infrastructure_is_tried_again_up_to_its_limit(failure: FailureClass, tries: int) -> None:
    verdicts = [verdict(failure, number, number, 3, 1.0).again for number in range(1, 4)]
    assert verdicts == [number < tries for number in range(1, 4)]


@pytest.mark.parametrize("failure", ["container", "oom", "lost"])
def test_what_is_tried_again_once_counts_its_own_class_alone(failure: FailureClass) -> None:
    assert verdict(failure, 2, 1, 3, 1.0).again
    assert not verdict(failure, 2, 2, 3, 1.0).again
    assert not verdict(failure, 3, 1, 3, 1.0).again


def test_the_delay_grows_and_is_drawn_from_its_upper_half() -> None:
    low, high = verdict("rate", 1, 1, 3, 0.0).delay_s, verdict("rate", 1, 1, 3, 1.0).delay_s
    assert (low, high) == (15.0, 30.0)
    assert verdict("rate", 2, 2, 3, 1.0).delay_s == 60.0
    assert verdict("rate", 9, 9, 10, 1.0).delay_s == 300.0


def test_a_short_host_has_tries_of_its_own_and_not_for_ever() -> None:
    assert verdict("host", HOST_TRIES - 1, 1, 1, 0.0).again
    assert not verdict("host", HOST_TRIES, 1, 1, 0.0).again
