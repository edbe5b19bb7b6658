"""What may be shown of an environment: secrets are known by their names, by their looks, and by where they stand."""

import re
from collections.abc import Callable, Iterable, Mapping

Mask = Callable[[str], str]
"""A text without secrets, from any text."""

MASK = "***"
_NAMES = re.compile(r"KEY|TOKEN|SECRET|PASS|PWD|CREDENTIAL|AUTH(?!OR)", re.IGNORECASE)
_IN_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^/\s?#]*@")
_IN_QUERY = re.compile(r"(?P<name>[?&;][^=&\s]*(?:key|token|secret|passw|auth|sig)[^=&\s]*=)[^&\s#]+", re.IGNORECASE)
_LOOKS = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|hf|ghp|gho|ghs|glpat|xox[abp]|AIza|AKIA|ya29)[-_.]?[A-Za-z0-9_-]{12,}"
    r"|\bBearer\s+\S+|\beyJ[A-Za-z0-9_-]{8,}\.\S+"
    r"|\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b"
    r"|\b(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{24,}\b"
)
_FOLDERS = frozenset({"PWD", "OLDPWD"})
SHORTEST = 6
"""A shorter secret is not looked for in texts: it would be found in every other word."""


def is_secret_name(name: str) -> bool:
    return name not in _FOLDERS and _NAMES.search(name) is not None


def masked(name: str, value: str) -> str:
    """The value of a variable as it may be shown: of a secret its length alone, which tells a cut or quoted one."""
    if not value:
        return ""
    if is_secret_name(name):
        return f"{MASK} ({len(value)} characters)"
    return masked_text(value)


def masked_text(text: str, secrets: Iterable[str] = ()) -> str:
    """Any text without what is, or looks like, a secret; `secrets` are values that must not be in it."""
    text = without(text, secrets)
    text = _IN_URL.sub(rf"\g<scheme>{MASK}@", text)
    text = _IN_QUERY.sub(rf"\g<name>{MASK}", text)
    return _LOOKS.sub(MASK, text)


def without(text: str, secrets: Iterable[str]) -> str:
    """The text without these values, and else as it is."""
    for secret in sorted(set(secrets), key=len, reverse=True):
        if len(secret) >= SHORTEST:
            text = text.replace(secret, MASK)
    return text


def secrets_of(environment: Mapping[str, str]) -> frozenset[str]:
    """The values of the variables whose names say that they are secrets."""
    return frozenset(value.strip() for name, value in environment.items() if is_secret_name(name) and value.strip())
