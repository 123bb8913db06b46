"""A short form of ``python -m torture.files``: some inputs of every kind, each answered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.imaging.film_files import film_or_code
from torture.codes import CODES, is_sound
from torture.dicom_monsters import dicom_monsters
from torture.files import Corpus, main, run
from torture.monsters import monsters
from torture.watcher import Watcher
from torture.worker import Task


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return Corpus()


def test_a_number_says_what_the_input_is(corpus: Corpus) -> None:
    other = Corpus()
    for number in (0, 777, corpus.cuts - 1, corpus.cuts + 3, corpus.made - 1, corpus.made, 50_000):
        assert corpus.task(number) == other.task(number)


def test_every_kind_of_input_is_answered(corpus: Corpus, tmp_path: Path) -> None:
    """One cut in fifty, every place and array, two random inputs of each format."""
    places = range(corpus.cuts + len([*monsters(), *dicom_monsters()]), corpus.made)
    numbers = [*range(0, corpus.cuts, 50), *places]
    numbers += range(corpus.made, corpus.made + 2 * len(corpus.seeds))
    with Watcher(corpus.warm(), seconds=30) as watcher:
        counts = run(corpus, iter(numbers), 200, watcher, tmp_path)
    assert counts.failures == []
    assert counts.inputs == len(numbers)
    assert set(counts.report()["outcomes"]) <= CODES | {"radiograph", "refused", "answers"}


def test_a_damaged_archive_quotes_nothing_of_what_is_in_it(corpus: Corpus) -> None:
    """The first member's name is said to go on for 65,535 bytes, over a DICOM film with a patient's name."""
    archive = corpus.seeds["zip stored"]
    damaged = archive[:26] + b"\xff\xff" + archive[28:]
    with Watcher([corpus.seeds["png 8 bit"]], seconds=30) as watcher:
        outcome = watcher.run(Task("file", "films.zip", damaged))
    assert (outcome.outcome, outcome.detail) == ("answers", "")


@pytest.mark.slow
def test_every_monster_is_answered(corpus: Corpus, tmp_path: Path) -> None:
    """Those that the largest picture's memory is needed for are left to the long form."""
    made = [*monsters(), *dicom_monsters()]
    large = ("bomb", "80 million", "88 million", "89 million", "5 million", "9400", "2^31", "claims")
    numbers = [corpus.cuts + at for at, (name, _) in enumerate(made) if not any(w in name for w in large)]
    with Watcher(corpus.warm(), seconds=30) as watcher:
        counts = run(corpus, iter(numbers), 200, watcher, tmp_path)
    assert counts.failures == []
    assert counts.inputs == len(numbers) > 100


def test_the_command_writes_its_figures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    output = tmp_path / "out.json"
    arguments = ["files", "--only", "150", "--output", str(output), "--kept", str(tmp_path)]
    monkeypatch.setattr("sys.argv", arguments)
    assert main() == 0
    report = json.loads(output.read_text(encoding="utf-8"))
    assert (report["inputs"], report["failures"]) == (1, [])
    assert sum(report["outcomes"].values()) == 1


@given(st.binary(max_size=400))
@settings(max_examples=300)
def test_any_bytes_are_a_film_or_have_a_code(content: bytes) -> None:
    result = film_or_code(content)
    assert result in CODES if isinstance(result, str) else is_sound(result)


@given(
    st.binary(max_size=300),
    st.sampled_from([b"\xff\xd8\xff", b"II*\0", b"GIF89a", b"BM", b"\0" * 128 + b"DICM"]),
)
@settings(max_examples=300)
def test_any_bytes_behind_a_magic_number_have_a_code(content: bytes, magic: bytes) -> None:
    result = film_or_code(magic + content)
    assert result in CODES if isinstance(result, str) else is_sound(result)
