"""Asks each model for one token, as the agents of cooperbench will ask it: run by cooperbench's own Python.

Reads one JSON object from standard input: `models`, `agent`, `agent_config` (a path or null), `ping`, `timeout_s`.
Writes one JSON object a line: first what this Python is, then one for each model as its answer comes (`model_facts`).
No secret is written on purpose; error messages are the provider's own, and the reader masks them.
Whatever litellm and the clients below it raise is what was to be found out: no exception ends the program.
"""

import json
import os
import re
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from importlib import import_module, metadata, util
from pathlib import Path
from typing import Any

TOOL = {
    "type": "function",
    "function": {
        "name": "bash",
        "description": "Execute a bash command",
        "parameters": {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
    },
}
"""An endpoint that cannot call tools fails every job of mini_swe_agent_v2, so it is asked with one."""
TOOL_AGENTS = {"mini_swe_agent_v2"}
MOST_TEXT = 600


def main() -> None:
    asked = json.load(sys.stdin)
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # litellm prints as it likes

    def write(line: dict[str, Any]) -> None:
        out.write(json.dumps(line) + "\n")
        out.flush()

    package = util.find_spec("cooperbench")
    folder = Path(package.origin).parent if package and package.origin else None
    files = dotenv_files(folder)
    write({
        "type": "python",
        "python": "{}.{}.{}".format(*sys.version_info[:3]),
        "cooperbench": version("cooperbench") if package else None,
        "litellm": version("litellm"),
        "agents": known_agents(folder, files),
        "dotenv": [str(file) for file in files],
    })  # fmt: skip
    if not asked["models"]:
        return
    for file in files:
        import_module("dotenv").load_dotenv(file)
    os.environ["LITELLM_LOG"] = "ERROR"  # upstream does so too
    for name in [name for name, value in os.environ.items() if name.endswith("_API_KEY") and not value.strip()]:
        del os.environ[name]  # an empty key is none, though litellm takes it for one
    try:
        kwargs = model_kwargs(asked["agent_config"])
    except Exception as error:
        why = " ".join(str(error).split())[:MOST_TEXT]
        sys.exit(f"the agent configuration {asked['agent_config']} cannot be used: {why}")
    litellm: Any = import_module("litellm")
    litellm.suppress_debug_info = True
    registry = os.environ.get("LITELLM_MODEL_REGISTRY_PATH")
    if registry and Path(registry).is_file():
        litellm.register_model(json.loads(Path(registry).read_text()))
    with ThreadPoolExecutor(max_workers=8) as pool:
        futures = [pool.submit(model_facts, litellm, model, kwargs, asked) for model in asked["models"]]
        for future in as_completed(futures):
            write(future.result())


def version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def known_agents(package: Path | None, files: list[Path]) -> list[str]:
    """The names that upstream's adapters register; none where others may be added, or no name can be read.

    Read, not imported: upstream's registry takes seconds to load.
    """
    external = "COOPERBENCH_EXTERNAL_AGENTS"
    if package is None or os.environ.get(external) or any(external in text_in(file) for file in files):
        return []
    adapters = package.glob("agents/*/adapter.py")
    return sorted({name for path in adapters for name in re.findall(r'^@register\("(\w+)"\)', text_in(path), re.M)})


def text_in(path: Path) -> str:
    """Empty where the file cannot be read: who needs it will say so."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def dotenv_files(package: Path | None) -> list[Path]:
    """The .env files that upstream loads: the nearest above its own code, and its agent's global one."""
    found: list[Path] = []
    if package is not None:
        found += [folder / ".env" for folder in (package, *package.parents) if (folder / ".env").is_file()][:1]
    settings = os.environ.get("MSWEA_GLOBAL_CONFIG_DIR")
    if not settings and util.find_spec("platformdirs"):
        settings = import_module("platformdirs").user_config_dir("mini-swe-agent")
    if settings and (Path(settings) / ".env").is_file():
        found.append(Path(settings) / ".env")
    return found


def model_kwargs(agent_config: str | None) -> dict[str, Any]:
    """What the agent passes to litellm besides the model: upstream's default, then the agent configuration's."""
    kwargs: dict[str, Any] = {"drop_params": True}
    if agent_config is not None:
        document = import_module("yaml").safe_load(Path(agent_config).read_text()) or {}
        try:
            model = (document.get("config", document) or {}).get("model") or {}
            kwargs |= model.get("model_kwargs") or {}
        except (AttributeError, TypeError):
            raise ValueError("it should hold mappings: config, in it model, in it model_kwargs") from None
    return kwargs


def model_facts(litellm: Any, model: str, kwargs: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """`model`, `provider`, `missing` (names of variables), `api_base` and where from, `priced`, `asked`, `error`."""
    name = model
    azure = {key: os.environ.get(f"AZURE_OPENAI_{key}", "").strip() for key in ("API_KEY", "ENDPOINT")}
    if all(azure.values()) and asked["agent"] in TOOL_AGENTS:
        name = "openai/" + model.partition("/")[2] if "/" in model else f"openai/{model}"
        kwargs = kwargs | {"api_base": azure["ENDPOINT"].rstrip("/"), "api_key": azure["API_KEY"]}
    facts: dict[str, Any] = {"type": "model", "model": model, "provider": None, "missing": [], "asked": False}
    try:
        facts["provider"] = litellm.get_llm_provider(model=name, api_base=kwargs.get("api_base"))[1]
    except Exception as error:
        return facts | {"error": told(error), "api_base": None, "api_base_from": None, "priced": False}
    facts |= base_url(facts["provider"], kwargs, bool(azure["ENDPOINT"]))
    if not kwargs.get("api_key"):
        facts["missing"] = missing_keys(litellm, name, facts["provider"])
    facts |= {"priced": priced(litellm, name), "error": None, "seconds": None}
    if facts["missing"] or not asked["ping"]:
        return facts
    began = time.monotonic()
    once = {"max_tokens": 1, "num_retries": 0, "max_retries": 0, "timeout": asked["timeout_s"]}
    tools = {"tools": [TOOL]} if asked["agent"] in TOOL_AGENTS else {}
    messages = [{"role": "user", "content": "Answer with one word: ready"}]
    facts["asked"] = True
    try:
        litellm.completion(model=name, messages=messages, **tools, **(kwargs | once))
    except Exception as error:
        facts["error"] = told(error)
    facts["seconds"] = round(time.monotonic() - began, 2)
    return facts


def missing_keys(litellm: Any, model: str, provider: str) -> list[str]:
    """The variables of which one should hold the key. Only of providers that know no other way to give it."""
    if provider == "cohere_chat":
        model = f"cohere/{model.rpartition('/')[2]}"  # litellm checks nothing for the newer name
    checked = litellm.validate_environment(model=model)
    missing = [] if checked.get("keys_in_environment") else list(checked.get("missing_keys") or [])
    # Azure and the clouds know tokens and profiles as well.
    elsewhere = provider.startswith("azure") or (provider.startswith("cohere") and os.environ.get("CO_API_KEY"))
    return [] if elsewhere else [name for name in missing if name.endswith("_API_KEY")]


def base_url(provider: str, kwargs: dict[str, Any], azure: bool) -> dict[str, str | None]:
    """The address that somebody has set, and where; litellm's own when nobody has."""
    for name in ("api_base", "base_url"):
        if kwargs.get(name):
            return {"api_base": str(kwargs[name]), "api_base_from": "AZURE_OPENAI_ENDPOINT" if azure else name}
    prefix = provider.removesuffix("_chat").upper()
    names = (f"{prefix}_API_BASE", f"{prefix}_BASE_URL")
    for name in reversed(names) if provider == "openai" else names:
        if os.environ.get(name):
            return {"api_base": os.environ[name], "api_base_from": name}
    return {"api_base": None, "api_base_from": None}


def priced(litellm: Any, model: str) -> bool:
    try:
        return bool(sum(litellm.cost_per_token(model=model, prompt_tokens=1000, completion_tokens=1000)) > 0)
    except Exception:
        return False


def told(error: BaseException) -> dict[str, Any]:
    """An error and what caused it: `kind`, `status` of the HTTP answer, `why` there was none, `url`, `text`, `body`."""
    status = why = url = body = None
    for one in chain(error):
        answer: Any = getattr(one, "response", None)
        # litellm makes up an answer where there was none; the client's own error is told from it by its module.
        if not type(one).__module__.startswith("litellm") and isinstance(getattr(answer, "status_code", None), int):
            status = answer.status_code
            body = text_of(answer)
            url = url or str(getattr(getattr(one, "request", None), "url", "") or "")
        match one:
            case ConnectionRefusedError():
                why = "refused"
            case socket.gaierror():
                why = "name"
            case ssl.SSLError():
                why = "tls"
            case ConnectionResetError():
                why = why or "reset"
    return {
        "kind": type(error).__name__,
        "status": status if status is not None else getattr(error, "status_code", None) if why is None else None,
        "why": why,
        "url": url,
        "text": str(error)[:MOST_TEXT],
        "body": (body or "")[:MOST_TEXT],
    }


def chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__]


def text_of(answer: Any) -> str:
    try:
        return str(answer.text)
    except Exception:
        return ""


if __name__ == "__main__":
    main()
