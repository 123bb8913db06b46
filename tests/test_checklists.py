"""The reporting checklists are whole, point to what there is, and agree with the folds."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from pneumocascade.datasets.films import patient_of

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

CLAIM, TRIPOD, DATASHEET = "CLAIM 2024", "TRIPOD+AI", "datasheet.md"
CHECKLISTS = (CLAIM, TRIPOD, DATASHEET)
PAGES = ("reporting-checklists.md", DATASHEET)
STATUSES = frozenset({"reported", "partly", "not reported", "not applicable"})

TRIPOD_PARTS = {3: 3, 5: 2, 6: 3, 8: 3, 9: 3, 12: 7, 18: 6, 20: 3, 23: 2, 27: 3}
"""Items of TRIPOD+AI that have parts, and how many: a, b, ..."""

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
FIGURE = re.compile(r"(?<![\w.])0?\.\d{2,}")


def read(name: str) -> str:
    """Return a page, or the part of the page of checklists with that heading."""
    if name in (CLAIM, TRIPOD):
        _, _, part = read(PAGES[0]).partition(f"\n## {name}\n")
        return part.partition("\n## ")[0]
    return (DOCS / name).read_text(encoding="utf-8")


def slugs(markdown: str) -> set[str]:
    """Return the fragments that GitHub gives to the headings of a document."""
    found: Counter[str] = Counter()
    fragments = set()
    for heading in re.findall(r"^#{1,6} +(.+?)[ #]*$", FENCE.sub("", markdown), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        fragments.add(f"{slug}-{found[slug]}" if found[slug] else slug)
        found[slug] += 1
    return fragments


def broken_links(document: Path) -> list[str]:
    """Return the relative links of a document that lead nowhere: no such file, or no such heading."""
    broken = []
    for target in LINK.findall(FENCE.sub("", document.read_text(encoding="utf-8"))):
        if target.startswith("https://"):
            continue
        path, _, fragment = target.partition("#")
        file = document.parent / path if path else document
        if not file.is_file() or (fragment and fragment not in slugs(file.read_text(encoding="utf-8"))):
            broken.append(target)
    return broken


def rows(name: str) -> list[list[str]]:
    """Return the cells of all tables that have a status."""
    found, wanted = [], False
    for line in read(name).splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            wanted = False
        elif "status" in cells:
            wanted = True
        elif wanted and set(line) - set("|- "):
            found.append(cells)
    return found


def statuses(name: str) -> dict[str, str]:
    """Return the status of each numbered item of a checklist."""
    return {cells[0]: cells[2] for cells in rows(name)}


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name: str) -> None:
    assert LINK.search(read(name))
    assert broken_links(DOCS / name) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text(
        "# Data, licence, citation\n\n```console\n# no heading\n```\n\n## How?\n\n## How?\n", encoding="utf-8"
    )
    good = ["other.md", "other.md#data-licence-citation", "other.md#how", "other.md#how-1", "#here"]
    bad = ["gone.md", "other.md#no-heading", "other.md#how-2", "other.md#How", "#there", "gone.md#how"]
    page = tmp_path / "page.md"
    links = "\n".join(f"[x]({target})" for target in [*good, *bad, "https://example.org/gone#x"])
    page.write_text(f"# Here\n\n{links}\n", encoding="utf-8")
    assert broken_links(page) == bad


@pytest.mark.parametrize("name", CHECKLISTS)
def test_every_row_has_a_status_a_place_and_an_answer(name: str) -> None:
    assert rows(name)
    for cells in rows(name):
        *_, status, where, answer = cells
        assert len(cells) == (4 if name == DATASHEET else 5), cells
        assert status in STATUSES, cells
        assert LINK.search(where), cells
        assert answer.endswith("."), cells


def test_claim_has_each_of_its_44_items_once() -> None:
    assert [cells[0] for cells in rows(CLAIM)] == [str(number) for number in range(1, 45)]


def test_tripod_has_each_of_its_27_items_with_all_parts() -> None:
    wanted = [
        f"{number}{part}"
        for number in range(1, 28)
        for part in ("abcdefg"[: TRIPOD_PARTS[number]] if number in TRIPOD_PARTS else [""])
    ]
    assert len(wanted) == 52
    assert [cells[0] for cells in rows(TRIPOD)] == wanted


@pytest.mark.parametrize("name", [CLAIM, TRIPOD])
def test_what_is_missing_names_all_that_is_not_or_partly_reported(name: str) -> None:
    _, _, closing = read(name).partition("\n### What is missing\n")
    named = Counter(re.findall(r"\*\*(\d+[a-g]?)\*\*", closing))
    wanted = {item for item, status in statuses(name).items() if status in ("partly", "not reported")}
    assert named == dict.fromkeys(wanted, 1)


def test_the_patient_with_the_most_films_is_counted_from_the_folds() -> None:
    """The table of the folds is held against the same file by test_documents.py."""
    films = json.loads((DOCS / "data" / "folds.json").read_text(encoding="utf-8"))
    children = [film for film in films if not film[0].isdigit()]
    series = [{patient_of(film) for film in children if word in film} for word in ("bacteria", "virus")]
    assert f"{len(series[0] & series[1])} numbers have films of both aetiologies" in read(DATASHEET)
    most = max(Counter(map(patient_of, children)).values())
    assert f"the patient with the most has {most}." in read(DATASHEET)


def test_no_patient_is_in_two_folds() -> None:
    folds = json.loads((DOCS / "data" / "folds.json").read_text(encoding="utf-8"))
    fold_of = {patient_of(film): fold for film, fold in folds.items()}
    assert set(fold_of.values()) == {1, 2, 3}
    assert all(fold_of[patient_of(film)] == fold for film, fold in folds.items())


@pytest.mark.parametrize("name", CHECKLISTS)
def test_no_figure_of_the_models_is_repeated(name: str) -> None:
    """They change with every export; the documents link to where they are kept up to date."""
    assert FIGURE.findall(read(name)) == []
    assert FIGURE.findall("AUROC 0.997 (.995)") == ["0.997", ".995"]
