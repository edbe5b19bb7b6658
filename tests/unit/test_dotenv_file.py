"""The project's .env reaches every attempt, wherever cooperbench is installed; the caller's environment wins."""

from pathlib import Path

import pytest

from runner.adapters.cooperbench import CooperbenchFiles
from runner.adapters.dotenv_file import project_dotenv
from runner.checks.surroundings import agents_variables, check_variables
from runner.checks.wanted import Wanted
from runner.commands.defaults import OPTIONS
from runner.model.check import Variable
from tests.unit.fakes import jobs, the_plan

TEXT = "# mine\nTOY_API_KEY='hush hush'\nexport LITELLM_LOG=DEBUG\nCOHERE_API_KEY=theirs\nnonsense\n"


def test_an_attempt_gets_what_the_file_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text(TEXT)
    monkeypatch.setenv("COHERE_API_KEY", "mine")
    order = CooperbenchFiles(tmp_path).order(the_plan(), jobs(1)[0], 1, "token", tmp_path / "attempt")
    assert order.environment["TOY_API_KEY"] == "hush hush"
    assert order.environment["LITELLM_LOG"] == "DEBUG"
    assert order.environment["COHERE_API_KEY"] == "mine"


def test_what_no_environment_can_hold_is_left_out(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GOOD=1\nBAD=a\0b\n'a=b'=c\n")
    assert project_dotenv(tmp_path) == {"GOOD": "1"}


def test_each_variable_is_told_with_its_origin_and_without_its_secret(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(TEXT)
    caller = {"COHERE_API_KEY": "mine", "HOME": "/root", "OPENAI_BASE_URL": "http://h/v1"}
    told = agents_variables(Wanted(tmp_path, caller=caller, extra=("--base-url", "http://me:hush@a/")))
    assert told == [
        Variable("ANTHROPIC_BASE_URL", "http://***@a/", "arguments"),
        Variable("COHERE_API_KEY", "*** (4 characters)", "environment"),
        Variable("LITELLM_LOCAL_MODEL_COST_MAP", "True", "coopdeck"),
        Variable("LITELLM_LOG", "DEBUG", ".env"),
        Variable("MSWEA_COST_TRACKING", "ignore_errors", "coopdeck"),
        Variable("OPENAI_BASE_URL", "http://h/v1", "environment"),
        Variable("TOY_API_KEY", "*** (9 characters)", ".env"),
    ]


def test_a_file_that_cannot_be_read_is_no_file_and_is_said(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xff\xfe\x00")
    assert project_dotenv(tmp_path) == {}
    (found,) = check_variables(Wanted(tmp_path, caller={}), OPTIONS)
    assert (found.verdict, found.says) == ("warn", f"{tmp_path}/.env sets nothing, or cannot be read")


def test_a_key_with_something_around_it_is_said(tmp_path: Path) -> None:
    (found,) = check_variables(Wanted(tmp_path, caller={"OPENAI_API_KEY": '"sk-hush"'}), OPTIONS)
    assert found.says == "the value of OPENAI_API_KEY has blanks or quotes around it"
