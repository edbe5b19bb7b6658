"""Nothing that is a secret is shown, wherever it stands."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.model.secrets import is_secret_name, masked, masked_text, secrets_of

KEY = "sk-proj-AbCdEf0123456789xyz"


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("OPENAI_API_KEY", KEY, "*** (27 characters)"),
        ("MY_PASSWORD", "hush", "*** (4 characters)"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "/home/me/key.json", "*** (17 characters)"),
        ("HTTPS_PROXY", "http://me:hush@proxy:3128", "http://***@proxy:3128"),
        ("GEMINI_BASE_URL", "https://h/v1?key=abc&alt=1", "https://h/v1?key=***&alt=1"),
        ("OPENAI_ORGANIZATION", KEY, "***"),
        ("SOMETHING", "ghp_0123456789abcdefABCDEF", "***"),
        ("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
        ("LITELLM_LOG", "ERROR", "ERROR"),
        ("MODEL", "anthropic/claude-sonnet-4-5-20250929", "anthropic/claude-sonnet-4-5-20250929"),
        ("OPENAI_API_KEY", "", ""),
    ],
)
def test_a_value_is_shown_or_masked(name: str, value: str, shown: str) -> None:
    assert masked(name, value) == shown


def test_the_working_directory_is_no_password() -> None:
    assert secrets_of({"PWD": "/srv/study", "OLDPWD": "/srv/other", "DB_PWD": "hush"}) == {"hush"}
    assert not is_secret_name("PWD")


def test_a_providers_words_do_not_repeat_the_key() -> None:
    secrets = secrets_of({"TOY_TOKEN": "correct horse", "HOME": "/root"})
    assert secrets == {"correct horse"}
    assert masked_text("your token 'correct horse' is bad", secrets) == "your token '***' is bad"
    assert masked_text("Authorization: Bearer abc") == "Authorization: ***"


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=6, max_size=60), st.text())
def test_a_known_secret_is_never_in_what_is_shown(secret: str, before: str) -> None:
    shown = masked_text(f"{before}{secret} and {secret}", [secret])
    assert secret not in shown or secret in before + "*** and ***"
