import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.model.ids import PairId, job_id, parse_pair, slug

pairs = st.builds(
    PairId,
    repo=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True).filter(str.isascii),
    task=st.integers(0, 10**6),
    features=st.lists(st.integers(0, 999), min_size=2, max_size=4, unique=True).map(lambda ids: tuple(sorted(ids))),
)


@given(pairs)
def test_a_pair_is_read_back_from_every_way_to_write_it(pair: PairId) -> None:
    commas = ",".join(map(str, pair.features))
    for text in (
        str(pair),
        f"{pair.repo}/{pair.task}/{pair.folder}",
        f"{pair.repo}/task{pair.task}/{pair.folder}",
        f"{pair.repo}/{pair.task}:{commas}",
        f" {pair.repo}/{pair.task} {' '.join(f'f{one}' for one in pair.features)} ",
    ):
        assert parse_pair(text) == pair


@given(st.text())
def test_any_text_is_a_pair_or_a_sentence(text: str) -> None:
    with suppress(ValueError):
        features = parse_pair(text).features
        assert len(set(features)) == len(features) >= 2


@given(pairs, st.sampled_from(["solo", "coop-comm"]), st.text(max_size=20), st.integers(1, 99))
def test_a_jobs_name_is_safe_as_a_folder(pair: PairId, setting: str, model: str, repeat: int) -> None:
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", job_id(setting, pair, model_slug=slug(model), repeat=repeat))


@pytest.mark.parametrize("text", ["a/1/f1", "a/1", "a", "", "a/1/f1_f1", "../1/f1_f2", "a/b/1/f1_f2", "a/1/f1_f2\n/x"])
def test_what_is_no_pair_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a pair|twice"):
        parse_pair(text)
