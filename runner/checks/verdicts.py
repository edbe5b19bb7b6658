"""What a model's answer to the one token means: a sentence and its remedy for everything that can go wrong."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from runner.model.check import Finding
from runner.model.failure import one_line

CHECK = "model"
ASKED_BY_LITELLM = frozenset({"mini_swe_agent_v2", "swe_agent", "openhands_sdk"})
"""The agents that reach their model through litellm; the others have programs of their own that do."""
_NO_PING = "--no-ping leaves this out"
_QUOTA = re.compile(r"quota|billing|credit balance|insufficient (?:funds|balance|credit)|payment|spending limit", re.I)
_BAD_KEY = re.compile(
    r"api[ _-]?key not valid|(?:incorrect|invalid)[ _-](?:x-)?api[ _-]?(?:key|token)|no api key", re.I
)
_MODEL = re.compile(r"model_not_found|model.{0,80}(?:not found|does not exist|not exist|unknown|not supported)", re.I)
# One token is too little for some models, and they say so: all that was to be seen has been seen.
_TOO_SHORT = re.compile(r"max_(?:completion_|output_)?tokens|output limit|budget_tokens|maximum output", re.I)


def judged(facts: Mapping[str, Any], *, agent: str, ping: bool, priced: bool) -> list[Finding]:
    """The lines for one model: whether it answers, and whether its cost will be known.

    `facts` are those of `runner/ping`; `priced` says that the project's settings hold a price for it.
    """
    findings = [_answers(facts, ping)]
    if agent not in ASKED_BY_LITELLM and findings[0].verdict == "fail":
        # It may be signed in some other way: that is no reason to refuse it.
        says = f"asked through litellm, which '{agent}' does not use: {findings[0].says}"
        findings = [Finding(CHECK, "warn", says, findings[0].remedy)]
    if facts.get("provider") is not None and not facts.get("priced") and not priced:
        model = facts["model"]
        findings.append(
            Finding(
                "price",
                "warn",
                f"litellm has no price for {model}: what it costs will be unknown, and --budget cannot hold it",
                f'give its price in coopdeck.toml, below [prices."{model}"]',
            )
        )
    return findings


def _answers(facts: Mapping[str, Any], ping: bool) -> Finding:
    model, error = facts["model"], facts.get("error")
    if facts.get("provider") is None:
        return Finding(
            CHECK, "fail", f"litellm knows no provider for the model {model}",
            "name it as litellm does, the provider first, like openai/gpt-4o or cohere_chat/command-a-03-2025",
        )  # fmt: skip
    if facts["missing"]:
        names = " or ".join(facts["missing"])
        return Finding(
            CHECK, "fail", f"there is no key for {model}: {names} is not set",
            f"export {facts['missing'][-1]}, or put it into .env in this folder",
        )  # fmt: skip
    if error is not None:
        says, remedy, verdict = next(_troubles(facts, error))
        if verdict != "ok":
            return Finding(CHECK, "warn" if verdict == "warn" else "fail", says, remedy)
    elif not ping:
        return Finding(CHECK, "skipped", f"{model} was not asked (--no-ping); a key for it is set, or none is needed")
    took = f" in {facts['seconds']:.1f} s" if facts.get("seconds") is not None else ""
    return Finding(CHECK, "ok", f"{model} answers{took} at {_where(facts)}")


def _where(facts: Mapping[str, Any]) -> str:
    return str(facts.get("api_base") or f"{facts['provider']}'s own address")


def _address(facts: Mapping[str, Any]) -> str:
    """What the user can correct about the address."""
    origin = facts.get("api_base_from")
    if origin in {"api_base", "base_url"}:
        return f"{origin} in the agent configuration"
    return str(origin) if origin else "the network of this machine"


def _troubles(facts: Mapping[str, Any], error: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(sentence, remedy, verdict) for what went wrong; the first that fits is meant."""
    model, where = facts["model"], _where(facts)
    status, why, kind = error.get("status"), error.get("why"), str(error.get("kind"))
    text = f"{error.get('text') or ''} {error.get('body') or ''}"
    short = one_line(str(error.get("body") or error.get("text") or ""))
    if why == "refused":
        yield (
            f"nothing listens at {where} for {model}: connection refused",
            f"start it, or correct {_address(facts)}",
            "",
        )
    if why == "name":
        yield f"the host of {where} for {model} is not known (DNS)", f"correct {_address(facts)}", ""
    if why == "tls":
        yield f"no encrypted connection to {where} for {model}: {short}", f"correct {_address(facts)}", ""
    if kind in {"Timeout", "APITimeoutError"} or status == 408:
        yield f"{model} did not answer in time at {where}", f"see whether it is well, or correct {_address(facts)}", ""
    if status == 402 or (status in {400, 403, 429} and _QUOTA.search(text)):
        yield f"the account behind the key for {model} has nothing left to spend: {short}", "see to its billing", ""
    if status == 401 or kind == "AuthenticationError" or (status in {400, 403} and _BAD_KEY.search(text)):
        yield f"{where} does not accept the key for {model}", f"correct {_key(facts)}", ""
    if status == 403:
        yield (
            f"{where} forbids the key to use {model}",
            "ask the provider for access to it, or choose another model or key",
            "",
        )
    if _MODEL.search(text) or (status == 404 and facts.get("api_base") is None):
        yield f"{where} has no model {model}, or the key may not use it", "correct -m", ""
    if status == 404:
        yield (
            f"there is nothing for {model} at {error.get('url') or where}: 404",
            f"correct {_address(facts)}: {_right_address(facts)}",
            "",
        )
    if status == 429:
        yield f"{where} knows the key for {model}, but limits its rate now", "wait, or use fewer slots (-c)", "warn"
    if isinstance(status, int) and status >= 500:
        yield (
            f"{where} has trouble of its own with {model} ({status})",
            "it may pass: jobs that fail by it are tried again",
            "warn",
        )
    if status == 400 and _TOO_SHORT.search(text):
        yield "", "", "ok"
    if why == "reset":
        yield f"{where} broke the connection off for {model}", f"correct {_address(facts)}", ""
    yield f"{model} cannot be asked at {where}: {short or kind}", f"mend what it names; {_NO_PING}", ""


def _key(facts: Mapping[str, Any]) -> str:
    names = {"gemini": "GEMINI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
    provider = str(facts["provider"])
    return names.get(provider, f"{provider.removesuffix('_chat').upper()}_API_KEY")


def _right_address(facts: Mapping[str, Any]) -> str:
    if str(facts["provider"]).startswith("cohere"):
        return "litellm takes a Cohere address as it stands, so it ends in /v2/chat, not in /v2"
    return "litellm adds /chat/completions to it, so it usually ends in /v1"
