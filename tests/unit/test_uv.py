"""Whoever has told pip where packages come from has told uv too."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from runner.adapters.uv import Uv, pip_settings, uv_for


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / ".config" / "pip"
    folder.mkdir(parents=True)
    (tmp_path / "links").mkdir()
    (folder / "pip.conf").write_text(
        "[global]\nindex-url = http://mirror.test/simple\ntimeout = 60\nfind-links =\n"
        f"    {tmp_path}/links\n    {tmp_path}/gone\n[install]\ntrusted_host = mirror.test\n"
        "extra-index-url = http://a.test/simple http://b.test/simple\n[list]\nformat = columns\n"
    )
    return tmp_path


def environ(home: Path, **more: str) -> dict[str, str]:
    return {"XDG_CONFIG_DIRS": str(home / "none"), **more}


def uv(home: Path, **more: str) -> Uv:
    return uv_for(environ(home, **more), home, home / "prefix")


def made(home: Path, **more: str) -> Mapping[str, str]:
    return uv(home, **more).environ


def test_pips_files_are_translated(home: Path) -> None:
    found = made(home)
    assert found["UV_DEFAULT_INDEX"] == "http://mirror.test/simple"
    assert found["UV_INDEX"] == "http://a.test/simple http://b.test/simple"
    assert found["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert found["UV_FIND_LINKS"] == f"{home}/links"  # pip overlooks what is not there, uv would not
    assert found["UV_INSECURE_HOST"] == "mirror.test"
    assert found["UV_HTTP_TIMEOUT"] == "60"


def test_a_variable_of_pips_wins_over_its_files_and_the_environments_file_over_the_users(home: Path) -> None:
    (home / "prefix").mkdir()
    (home / "prefix" / "pip.conf").write_text("[global]\ntimeout = 90\nno-index = true\n")
    found = made(home, PIP_INDEX_URL="http://other.test/simple", PIP_CERT="/ca.pem")
    assert found["UV_DEFAULT_INDEX"] == "http://other.test/simple"
    assert found["SSL_CERT_FILE"] == "/ca.pem"
    assert found["UV_HTTP_TIMEOUT"] == "90"
    assert uv(home).flags == ("--no-index",)


@pytest.mark.parametrize("name", ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX"])
def test_who_has_told_uv_is_not_told_otherwise(name: str, home: Path) -> None:
    found = made(home, **{name: "http://mine.test/simple"})
    assert {key for key in found if key.startswith("UV_")} == {name, "UV_NO_PROGRESS"}


def test_uvs_own_file_is_left_to_it(home: Path) -> None:
    (home / ".config" / "uv").mkdir()
    (home / ".config" / "uv" / "uv.toml").write_text("")
    assert "UV_DEFAULT_INDEX" not in made(home)


def test_what_stands_in_the_environment_stays(home: Path) -> None:
    assert made(home, SSL_CERT_FILE="/mine.pem", PIP_CERT="/ca.pem")["SSL_CERT_FILE"] == "/mine.pem"


def test_a_file_that_is_no_settings_file_is_overlooked(home: Path) -> None:
    (home / ".config" / "pip" / "pip.conf").write_text("index-url = http://mirror.test\n")
    assert "index-url" not in pip_settings(environ(home, PIP_CONFIG_FILE=str(home)), home, home)


def test_no_settings_at_all_can_be_asked_for(home: Path) -> None:
    assert "index-url" not in pip_settings(environ(home, PIP_CONFIG_FILE="/dev/null"), home, home)


def test_uv_comes_with_coopdeck(home: Path) -> None:
    assert Path(uv(home).program).is_file()
    assert uv(home).flags == ()
