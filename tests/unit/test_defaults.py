import argparse
from pathlib import Path
from typing import Any

import pytest

from runner.commands.defaults import duration, resolve
from runner.model.prices import Price
from runner.model.refusal import UsageRefused


def _resolved(root: Path, environ: dict[str, str] | None = None, **flags: Any) -> argparse.Namespace:
    options = argparse.Namespace(**flags)
    resolve(options, environ or {}, root)
    return options


def test_a_flag_beats_the_environment_and_that_the_file(tmp_path: Path) -> None:
    (tmp_path / "coopdeck.toml").write_text('[run]\nslots = 2\nattempts = 2\ntimeout = "15m"\nmodel = ["a", "b"]\n')
    environ = {"COOPDECK_SLOTS": "3", "COOPDECK_ATTEMPTS": "4", "COOPDECK_GIT": "yes", "COOPDECK_NOTHING": "x"}
    options = _resolved(tmp_path, environ, slots="5")
    assert (options.slots, options.attempts, options.timeout) == (5, 4, 900.0)
    assert (options.model, options.git, options.budget, options.pairs) == (("a", "b"), True, None, ())
    assert options.given == {
        "slots": "flag",
        "attempts": "environment",
        "timeout": "file",
        "model": "file",
        "git": "environment",
    }


def test_own_prices_stand_in_tables_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "coopdeck.toml").write_text(
        '[run]\nstall = "5m"\n[prices."my/model"]\ninput = 2.5\noutput = 10\n[prices.b]\ninput=0\noutput=0\ncached=0'
    )
    options = _resolved(tmp_path)
    assert options.prices == {"my/model": Price(2.5, 10.0), "b": Price(0.0, 0.0, 0.0)}
    assert options.stall == 300.0
    assert _resolved(tmp_path, {"COOPDECK_STALL": "90s"}).stall == 90.0


def test_without_file_or_environment_nothing_is_given(tmp_path: Path) -> None:
    options = _resolved(tmp_path)
    assert options.given == {}
    assert options.slots is None
    assert not options.headless


def test_lists_come_in_commas_or_one_by_one(tmp_path: Path) -> None:
    options = _resolved(tmp_path, {"COOPDECK_SETTINGS": "solo, team"}, repo=["a,b", "c"], pairs=["a/1:1,2"])
    assert (options.settings, options.repo, options.pairs) == (("solo", "team"), ("a", "b", "c"), ("a/1:1,2",))


def test_pairs_on_the_command_line_are_not_held_to_a_habitual_subset(tmp_path: Path) -> None:
    (tmp_path / "coopdeck.toml").write_text('[run]\nsubset = "lite"\n')
    assert _resolved(tmp_path, pairs=["a/1:1,2"]).subset is None
    assert _resolved(tmp_path, pairs=["a/1:1,2"], subset="lite").subset == "lite"
    assert _resolved(tmp_path).subset == "lite"


def test_json_means_headless_and_detach_stands_against_it(tmp_path: Path) -> None:
    assert _resolved(tmp_path, json=True).headless
    assert _resolved(tmp_path, {"COOPDECK_HEADLESS": "1"}, detach=True).headless is False
    with pytest.raises(UsageRefused, match="exclude each other"):
        _resolved(tmp_path, json=True, detach=True)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[run", "is not valid TOML"),
        ("a = " + "[" * 50_000, "is not valid TOML"),
        ("[run]\nslots = " + "9" * 5000, "is not valid TOML"),
        ("[run]\nbudget = inf", "budget in .* must be a number above 0, not 'inf'"),
        ('[run]\nlog_dir = "a\\u0000b"', r"log_dir in .* must be text in UTF-8, not 'a\\x00b'"),
        ("run = 1", "run in .* must be a table"),
        ("slots = 4", r"slots in .* belongs below \[run\]"),
        ("[run]\nslotz = 4", "no setting 'slotz' .*; did you mean 'slots'"),
        ("[run]\nslots = 0", "slots in .*coopdeck.toml must be a whole number from 1 to 256, not '0'"),
        ("[run]\nslots = true", "slots in .* must be a whole number"),
        ("[run]\nslots = [1]", "slots in .* must be a single value"),
        ("[run]\ntimeout = -3", "timeout in .* must be a duration"),
        ("[run]\nmodel = []", "model in .* names nothing"),
        ("[run]\nforce = true", "force in .* is only meant as a flag"),
        ('[run]\ngit = "perhaps"', "git in .* must be true or false"),
        ("[run]\nstall = 0", "stall in .* must be a duration"),
        ("prices = 1", "prices in .* must be a table: write"),
        ("[prices]\nm = 2", r'\[prices."m"\] in .* must be a table: write'),
        ("[prices.m]\ninput = 1", r'\[prices."m"\] in .* has no output'),
        ("[prices.m]\ninputs = 1", "there is no 'inputs' in .*; did you mean 'input'"),
        ("[prices.m]\ninput = 1\noutput = -2", r'output of \[prices."m"\] in .* must be USD per million tokens'),
        ("[prices.m]\ninput = nan\noutput = 2", "input of .* must be USD"),
        ("[prices.m]\ninput = true\noutput = 2", "input of .* must be USD .* not True"),
        ('[prices.m]\ninput = "1"\noutput = 2', "input of .* must be USD"),
    ],
)
def test_a_bad_file_is_a_sentence_with_the_place(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "coopdeck.toml").write_text(text)
    with pytest.raises(UsageRefused, match=says) as refused:
        _resolved(tmp_path)
    assert str(tmp_path / "coopdeck.toml") in str(refused.value)


def test_a_file_that_never_ends_is_refused(tmp_path: Path) -> None:
    (tmp_path / "coopdeck.toml").symlink_to("/dev/zero")
    with pytest.raises(UsageRefused, match="larger than"):
        _resolved(tmp_path)


def test_a_misspelt_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "coopdeck.toml").write_text("[runn]\nslots = 2\n")
    with pytest.raises(UsageRefused, match=r"'runn' .*run"):
        _resolved(tmp_path)


def test_a_bad_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageRefused, match="COOPDECK_BUDGET must be a number above 0, not 'much'"):
        _resolved(tmp_path, {"COOPDECK_BUDGET": "much"})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("1.5m", 90), ("15m", 900), ("2h", 7200), ("1h30m", 5400), ("1h 30m", None), ("", None),
     ("0", None), ("-1", None), ("1d", None), ("m", None), ("nan", None), ("999999h", None), ("٣m", None)],
)  # fmt: skip
def test_durations(text: str, seconds: float | None) -> None:
    if seconds is None:
        with pytest.raises(ValueError, match="must be a duration"):
            duration(text)
    else:
        assert duration(text) == seconds
