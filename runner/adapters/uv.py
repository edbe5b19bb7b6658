"""uv, which finds Pythons and makes environments: its program, and what it is told of the user's package index."""

import configparser
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from runner.model.refusal import PreflightRefused

_ONE_TO_ONE = {
    "index-url": "UV_DEFAULT_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "timeout": "UV_HTTP_TIMEOUT",
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "proxy": "ALL_PROXY",
}
"""pip's settings whose values mean the same to uv."""
_INDEXES = ("UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS")


class Uv(NamedTuple):
    """How uv is called."""

    program: str
    environ: Mapping[str, str]
    flags: tuple[str, ...]
    """Of `uv pip install`: what no variable says."""


def uv_program() -> str:
    """The uv that came with coopdeck, else the one in PATH.

    Raises:
        PreflightRefused: there is none.
    """
    with suppress(ImportError, FileNotFoundError):
        from uv import find_uv_bin

        return find_uv_bin()
    if found := shutil.which("uv"):
        return found
    raise PreflightRefused("uv, which comes with coopdeck, is not there; install it with 'pip install uv' and repeat")


def uv_for(environ: Mapping[str, str], home: Path, prefix: Path = Path(sys.prefix)) -> Uv:
    """uv with `environ`. Who has told pip alone where packages come from has told uv too, which reads none of it.

    Raises:
        PreflightRefused: there is no uv.
    """
    program = uv_program()
    made = {"UV_NO_PROGRESS": "1", "NO_COLOR": "1"} | dict(environ)
    if any(environ.get(name) for name in _INDEXES) or any(file.is_file() for file in _uv_files(environ, home)):
        return Uv(program, made, ())
    pip = pip_settings(environ, home, prefix)
    for name, variable in _ONE_TO_ONE.items():
        if name in pip:
            made.setdefault(variable, " ".join(pip[name].split()))
    if extra := pip.get("extra-index-url", "").split():
        made["UV_INDEX"] = " ".join(extra)
        # As pip does: the best version of all indexes, not the first index that knows the name.
        made.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    if links := [link for link in pip.get("find-links", "").split() if "://" in link or Path(link).exists()]:
        made["UV_FIND_LINKS"] = ",".join(links)
    alone = pip.get("no-index", "").lower() in {"1", "true", "yes", "on"}
    return Uv(program, made, ("--no-index",) if alone else ())


def pip_settings(environ: Mapping[str, str], home: Path, prefix: Path) -> dict[str, str]:
    """What `pip install` would go by: its files, the least special first, then its variables; `{"index-url": ...}`."""
    settings: dict[str, str] = {}
    for section in ("global", "install"):
        for file in _pip_files(environ, home, prefix):
            parser = configparser.RawConfigParser()
            with suppress(OSError, configparser.Error, UnicodeDecodeError):
                parser.read(file, encoding="utf-8")
            if parser.has_section(section):
                settings |= {name.replace("_", "-"): value for name, value in parser.items(section) if value}
    for name, value in environ.items():
        if name.startswith("PIP_") and value:
            settings[name.removeprefix("PIP_").lower().replace("_", "-")] = value
    return settings


def _pip_files(environ: Mapping[str, str], home: Path, prefix: Path) -> Iterable[Path]:
    """https://pip.pypa.io/en/stable/topics/configuration: global, user, site, and the one that is named."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return []
    machine = [Path(folder, "pip", "pip.conf") for folder in reversed(_config_dirs(environ))]
    user = Path(environ.get("XDG_CONFIG_HOME") or home / ".config", "pip", "pip.conf")
    return [
        *machine,
        Path("/etc/pip.conf"),
        home / ".pip" / "pip.conf",
        user,
        prefix / "pip.conf",
        *([Path(named)] if named else []),
    ]


def _uv_files(environ: Mapping[str, str], home: Path) -> list[Path]:
    named = environ.get("UV_CONFIG_FILE")
    folders = [environ.get("XDG_CONFIG_HOME") or home / ".config", *_config_dirs(environ), "/etc"]
    return [*([Path(named)] if named else []), *(Path(folder, "uv", "uv.toml") for folder in folders)]


def _config_dirs(environ: Mapping[str, str]) -> list[str]:
    return [folder for folder in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":") if folder]
