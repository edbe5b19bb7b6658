"""What became of the one token is told in a sentence; the facts are those that litellm 1.106.2 gave (`runner/ping`)."""

from typing import Any

import pytest

from runner.checks.verdicts import judged
from runner.model.check import Finding

FACTS: dict[str, Any] = {
    "model": "openai/gpt-4o", "provider": "openai", "missing": [], "priced": True, "asked": True, "error": None,
    "seconds": 1.2, "api_base": "http://h/v1", "api_base_from": "OPENAI_BASE_URL",
}  # fmt: skip
COHERE = {"model": "command-a", "provider": "cohere_chat", "api_base": "http://h/v2", "api_base_from": "api_base"}


def error(kind: str, status: int | None = None, text: str = "", **more: object) -> dict[str, Any]:
    return {"error": {"kind": kind, "status": status, "why": None, "url": None, "text": text, "body": text, **more}}


def judge(**facts: object) -> Finding:
    return judged(FACTS | facts, agent="mini_swe_agent_v2", ping=True, priced=False)[0]


FAILS: list[tuple[dict[str, Any], str, str]] = [
    ({"provider": None}, "litellm knows no provider for the model openai/gpt-4o", "like openai/gpt-4o"),
    ({"missing": ["GOOGLE_API_KEY", "GEMINI_API_KEY"]}, "GOOGLE_API_KEY or GEMINI_API_KEY is not set", "export GEMINI"),
    (error("AuthenticationError", 401), "http://h/v1 does not accept the key", "correct OPENAI_API_KEY"),
    # litellm makes a BadRequestError of a 401 whose words it does not know.
    (error("BadRequestError", 401, "who are you?"), "does not accept the key", "OPENAI_API_KEY"),
    (error("BadRequestError", 400, "API key not valid. Please pass one.") | {"provider": "gemini"},
     "does not accept the key", "GEMINI_API_KEY"),
    (error("PermissionDeniedError", 403), "forbids the key to use", "ask the provider"),
    (error("RateLimitError", 429, "You exceeded your current quota, check your plan and billing details."),
     "has nothing left to spend", "billing"),
    (error("BadRequestError", 400, "Your credit balance is too low to access the Anthropic API"),
     "has nothing left to spend", "billing"),
    (error("APIError", 402, "Payment Required"), "has nothing left to spend", "billing"),
    (error("NotFoundError", 404, '{"error": {"code": "model_not_found", "message": "The model `x` does not exist"}}'),
     "has no model openai/gpt-4o, or the key may not use it", "correct -m"),
    (error("NotFoundError", 404, "<html>404 page not found</html>", url="http://h/v1/chat/completions"),
     "nothing for openai/gpt-4o at http://h/v1/chat/completions: 404", "correct OPENAI_BASE_URL: litellm adds"),
    (error("NotFoundError", 404, "nothing here", url="http://h/v2") | COHERE,
     "nothing for command-a at http://h/v2: 404", "ends in /v2/chat, not in /v2"),
    (error("NotFoundError", 404, "no") | {"api_base": None, "api_base_from": None},
     "openai's own address has no model openai/gpt-4o", "correct -m"),
    (error("InternalServerError", None, "Connection error.", why="refused"),
     "nothing listens at http://h/v1", "start it, or correct OPENAI_BASE_URL"),
    (error("InternalServerError", None, "Connection error.", why="name"),
     "the host of http://h/v1 for openai/gpt-4o is not known (DNS)", "correct OPENAI_BASE_URL"),
    (error("InternalServerError", None, "certificate verify failed", why="tls"),
     "no encrypted connection to http://h/v1", "correct OPENAI_BASE_URL"),
    (error("InternalServerError", None, "", why="reset"), "broke the connection off", "correct OPENAI_BASE_URL"),
    (error("Timeout", 408), "did not answer in time", "correct OPENAI_BASE_URL"),
    (error("BadRequestError", 400, '"auto" tool choice requires --enable-auto-tool-choice'),
     "cannot be asked at http://h/v1: \"auto\" tool choice requires", "--no-ping"),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "says", "remedy"), FAILS, ids=[says for _, says, _ in FAILS])
def test_what_cannot_go_well_is_refused_with_its_remedy(facts: dict[str, Any], says: str, remedy: str) -> None:
    found = judge(**facts)
    assert found.verdict == "fail"
    assert says in found.says
    assert remedy in found.remedy


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        (error("RateLimitError", 429, "Rate limit reached for gpt-4o"), "limits its rate now"),
        (error("ServiceUnavailableError", 503, "overloaded"), "has trouble of its own with openai/gpt-4o (503)"),
    ],
)
def test_what_may_pass_is_a_warning(facts: dict[str, Any], says: str) -> None:
    found = judge(**facts)
    assert (found.verdict, says in found.says) == ("warn", True)


def test_a_model_that_answers_is_fine_and_so_is_one_to_which_a_token_is_too_little() -> None:
    assert judge().says == "openai/gpt-4o answers in 1.2 s at http://h/v1"
    short = "Could not finish the message because max_tokens or model output limit was reached."
    assert judge(**error("BadRequestError", 400, short)).verdict == "ok"


def test_without_a_ping_only_the_key_is_looked_at() -> None:
    facts = FACTS | {"asked": False, "seconds": None}
    assert judged(facts, agent="mini_swe_agent_v2", ping=False, priced=False)[0].verdict == "skipped"


def test_a_model_without_a_price_is_a_warning_unless_the_project_has_one() -> None:
    facts = FACTS | {"priced": False}
    told = judged(facts, agent="mini_swe_agent_v2", ping=True, priced=False)
    assert [finding.verdict for finding in told] == ["ok", "warn"]
    assert '[prices."openai/gpt-4o"]' in told[1].remedy
    assert len(judged(facts, agent="mini_swe_agent_v2", ping=True, priced=True)) == 1


def test_an_agent_that_does_not_use_litellm_is_not_refused_for_what_litellm_says() -> None:
    (found,) = judged(FACTS | {"missing": ["ANTHROPIC_API_KEY"]}, agent="claude_code", ping=True, priced=False)
    assert found.verdict == "warn"
    assert found.says.startswith("asked through litellm, which 'claude_code' does not use: there is no key")
