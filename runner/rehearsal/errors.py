"""The texts of real failures: litellm's, Docker's, the host's, and cooperbench's tracebacks."""

from __future__ import annotations

# Raised by a call to the model, inside the agent: exit status (the class's name) and text.
MODEL_ERRORS = {
    "auth": (
        "AuthenticationError",
        "litellm.AuthenticationError: AuthenticationError: OpenAIException - Incorrect API key provided. "
        "You can find your API key at https://platform.openai.com/account/api-keys.",
    ),
    "permission": (
        "PermissionDeniedError",
        "litellm.PermissionDeniedError: PermissionDeniedError: OpenAIException - Project does not have "
        "access to model `{model}`",
    ),
    "notfound": (
        "NotFoundError",
        "litellm.NotFoundError: NotFoundError: OpenAIException - The model `{model}` does not exist or you "
        "do not have access to it.",
    ),
    "request": (
        "BadRequestError",
        "litellm.BadRequestError: OpenAIException - Invalid value for 'messages[3].content': expected a "
        "string, got null.",
    ),
    "unsupported": (
        "UnsupportedParamsError",
        "litellm.UnsupportedParamsError: OpenAIException - Unsupported parameter: 'timeout' is not supported "
        "with this model. To drop these, set `litellm.drop_params=True`.",
    ),
    "context": (
        "ContextWindowExceededError",
        "litellm.ContextWindowExceededError: litellm.BadRequestError: ContextWindowExceededError: "
        "OpenAIException - This model's maximum context length is 128000 tokens. However, your messages "
        "resulted in 131204 tokens. Please reduce the length of the messages.",
    ),
    "policy": (
        "ContentPolicyViolationError",
        "litellm.ContentPolicyViolationError: litellm.BadRequestError: ContentPolicyViolationError: "
        "OpenAIException - Your request was rejected as a result of our safety system.",
    ),
    "quota": (
        "RateLimitError",
        "litellm.RateLimitError: RateLimitError: OpenAIException - You exceeded your current quota, please "
        "check your plan and billing details. (code: insufficient_quota)",
    ),
    "rate": (
        "RateLimitError",
        "litellm.RateLimitError: RateLimitError: OpenAIException - Rate limit reached for {model} on tokens "
        "per min (TPM): Limit 30000, Used 28971, Requested 2843. Please try again in 3.628s.",
    ),
    "timeout-api": (
        "Timeout",
        "litellm.Timeout: APITimeoutError - Request timed out. Error_str: Request timed out. - timeout "
        "value=600.0, time taken=600.03 seconds",
    ),
    "unavailable": (
        "ServiceUnavailableError",
        "litellm.ServiceUnavailableError: ServiceUnavailableError: OpenAIException - Overloaded",
    ),
    "badgateway": (
        "BadGatewayError",
        "litellm.BadGatewayError: BadGatewayError: OpenAIException - 502 Bad Gateway",
    ),
    "server": (
        "InternalServerError",
        "litellm.InternalServerError: InternalServerError: OpenAIException - The server had an error while "
        "processing your request. Sorry about that!",
    ),
    "connection": (
        "APIConnectionError",
        "litellm.APIConnectionError: APIConnectionError: OpenAIException - Connection error.",
    ),
}

RUN_COMMAND = (
    "['docker', 'run', '-d', '--name', '{container}', '-w', '/workspace/repo', '--entrypoint', '/bin/bash', "
    "'--rm', '{image}', '-c', 'sleep 2h']"
)

# Raised outside the agent: upstream's except-branch keeps the text alone, no class and no messages.
SETUP_ERRORS = {
    "docker-125": f"Command '{RUN_COMMAND}' returned non-zero exit status 125.",
    "docker-127": f"Command '{RUN_COMMAND}' returned non-zero exit status 127.",
    "docker-409": "409 Client Error for http+docker://localhost/v1.41/containers/{container}/exec: Conflict "
    '("container {container} is not running")',
    "image": "404 Client Error for http+docker://localhost/v1.41/images/{image}/json: Not Found "
    '("No such image: {image}")',
    "image-timeout": f"Command '{RUN_COMMAND}' timed out after 120 seconds",
    "host-enospc": "[Errno 28] No space left on device: '/var/lib/docker/tmp/GetImageBlob1930772406'",
    "host-emfile": "[Errno 24] Too many open files",
    "unknown-agent": "Unknown agent: '{agent}'. Available: claude_code, codex, mini_swe_agent_v2, "
    "openhands_sdk, swe_agent",
}

PACKAGES = "/opt/cooperbench/lib/python3.12/site-packages"
HEAD = f"""Traceback (most recent call last):
  File "/opt/cooperbench/bin/cooperbench", line 8, in <module>
    sys.exit(main())
             ^^^^^^
  File "{PACKAGES}/cooperbench/cli.py", line 333, in main
    _run_command(args)
  File "{PACKAGES}/cooperbench/cli.py", line 393, in _run_command
    run(
"""
TASK = f"""  File "{PACKAGES}/cooperbench/runner/core.py", line 184, in run
    result = execute_task(tasks[0])
             ^^^^^^^^^^^^^^^^^^^^^^
  File "{PACKAGES}/cooperbench/runner/core.py", line 163, in execute_task
    return execute_coop(
           ^^^^^^^^^^^^^
"""

TRACEBACKS = {
    "redis": HEAD
    + f"""  File "{PACKAGES}/cooperbench/runner/core.py", line 121, in run
    ensure_redis(redis_url)
  File "{PACKAGES}/cooperbench/infra/redis.py", line 15, in ensure_redis
    client.ping()
  File "{PACKAGES}/redis/connection.py", line 381, in connect
    raise ConnectionError(self._error_message(e))
redis.exceptions.ConnectionError: Error 111 connecting to localhost:6379. Connection refused.
""",
    "git-server": HEAD
    + TASK
    + f"""  File "{PACKAGES}/cooperbench/runner/coop.py", line 104, in execute_coop
    git_server = create_git_server(**git_server_kwargs)
                 ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "{PACKAGES}/docker/models/images.py", line 304, in build
    raise BuildError(chunk['error'], result_stream)
docker.errors.BuildError: Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io: \
no such host
""",
    "crash": HEAD
    + TASK
    + f"""  File "{PACKAGES}/cooperbench/runner/coop.py", line 178, in execute_coop
    conversation = _extract_conversation(results, agents)
                   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
TypeError: argument of type 'NoneType' is not iterable
""",
}


def image_name(repo: str, task: int) -> str:
    return f"akhatua/cooperbench-{repo.replace('_task', '').replace('_', '-')}:task{task}"
