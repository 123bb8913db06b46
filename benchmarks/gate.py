r"""What does the gate let through? Held-out films, films spoilt, drawings, and pictures of your own.

    python -m benchmarks.gate --data kermany224 --models build/models/held-out \
        --split build/models/fold1/split.json --renderings kermany-512 --renderings nih
    python -m benchmarks.gate --others others --others other-films
    python -m benchmarks.gate --domains kermany224 kermany-512 other-films/nih other-films/frontal-adult
    python -m benchmarks.gate --layouts kermany224 kermany-512 other-films/nih --made-of kermany-original

``others`` holds a folder of pictures for each group. Held-out films are those on the validation side of the
split; without ``--data`` there are none. Prints tables in Markdown: how many of each group were tried and
refused, and which codes they got; and what the checks on the features take. ``--domains`` counts whose films
those of a folder are taken for, of how many stage 2 may name a type, and how many are unfamiliar.
``--layouts`` tries the checks on pixels alone: on every film of these folders, and on pairs, screenshots and
photographs made of the films of ``--made-of``. ``--output docs/data/gate.json`` keeps the tables beside those
of other calls.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.layouts import MADE
from benchmarks.tables import Tables
from pneumocascade.datasets.films import LabelledFilm, Split, find_training_films
from pneumocascade.errors import FilmError
from pneumocascade.evaluation.shift_conditions import SHIFTS, Condition
from pneumocascade.evaluation.shift_suite import choose_films, shifted_films
from pneumocascade.imaging.read import SUFFIXES, read_radiograph
from pneumocascade.inference.cascade import Cascade
from pneumocascade.model.gate import Assessment, check_pixels
from pneumocascade.model.preprocess import prepare, to_eight_bit
from pneumocascade.model.spec import UNCERTAIN_DOMAIN
from pneumocascade.training.synthetic_pictures import FROM_FILMS, PICTURES, inverted, part_of, turned
from pneumocascade.training.synthetic_radiographs import LATERALS, OTHER_FILMS
from pneumocascade.types import Radiograph

Grey = NDArray[np.uint8]

GROUP = ("group", "tried", "refused", "share", "codes")

SEED = 77
"""Not the seed that gates are fitted with: the drawings are others."""


@dataclass(slots=True)
class Group:
    """Pictures of one sort and what became of them."""

    name: str
    tried: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    warned: int = 0

    def row(self) -> list[str]:
        """Return the group as a row of the table."""
        refused = self.codes.total()
        share = f"{refused / self.tried:.1%}" if self.tried else ""
        codes = ", ".join(f"{code} {count}" for code, count in self.codes.most_common())
        codes += f"{', ' if codes else ''}judged with a warning {self.warned}" if self.warned else ""
        return [self.name, str(self.tried), str(refused), share, codes]


class Gate:
    """Pixels first, then stage 1's features: the order of the cascade, but for stage 2."""

    def __init__(self, cascade: Cascade) -> None:
        assert cascade.gate is not None, "these models have no gate.npz"
        self.checks, self.model = cascade.gate, cascade.stage1

    def assess(self, radiograph: Radiograph) -> Assessment:
        """Return what pixels and features tell of a film."""
        if reasons := check_pixels(radiograph).reasons:
            return Assessment(reasons)
        features = self.model.run(prepare(radiograph, self.model.spec)).features
        return self.checks.assess(features, [radiograph.acquisition])[0]

    def code(self, radiograph: Radiograph) -> str | None:
        """Return the code of the first reason to refuse a film."""
        reasons = self.assess(radiograph).reasons
        return reasons[0].code if reasons else None

    def group(self, name: str, radiographs: Iterable[Radiograph]) -> Group:
        """Try all pictures of a group."""
        group = Group(name)
        for radiograph in radiographs:
            group.tried += 1
            group.codes.update([code] if (code := self.code(radiograph)) else [])
        return group


def drawn(pixels: Grey) -> Radiograph:
    """Return pixels as a film."""
    return Radiograph(np.ascontiguousarray(pixels), "drawn")


def readable(paths: Iterable[Path]) -> Iterator[Radiograph]:
    """Yield what can be read; what cannot needs no gate."""
    films = (read_or_say(path) for path in sorted(paths))
    return (film for film in films if film is not None)


def read_or_say(path: Path) -> Radiograph | None:
    """Read a film, or tell why it cannot be read."""
    try:
        return read_radiograph(path)
    except FilmError as error:
        print(f"<!-- {path.name}: {error} -->")
        return None


def false_refusals(gate: Gate, folders: Sequence[Path], split: Split, limit: int) -> Iterator[Group]:
    """Yield held-out films as they are, in every rendering, and under mild and middle shifts."""
    for folder in folders:
        films = [film for film in find_training_films(folder) if film.name in split.validation]
        yield gate.group(f"{folder.name}, held out", readable(film.path for film in films))
    films = [film for film in find_training_films(folders[0]) if film.name in split.validation]
    chosen = choose_films(films, limit, SEED)
    for number, strength in enumerate(("mild", "middle")):
        total, worst = Group(f"all {len(SHIFTS)} shifts, {strength}"), Group("")
        for shift in SHIFTS:
            condition = Condition(shift, shift.strengths[number])
            shifted = (radiographs[0] for _, radiographs in shifted_films(chosen, [condition], SEED))
            group = gate.group(f"of these, worst: {condition}", shifted)
            total.tried += group.tried
            total.codes.update(group.codes)
            worst = max(worst, group, key=lambda each: each.codes.total())
        yield total
        yield worst if worst.tried else Group("of these, worst: none")


def spoilt(gate: Gate, films: Sequence[LabelledFilm]) -> Iterator[Group]:
    """Yield held-out films turned, negative, cut: none may pass."""
    rng = np.random.default_rng(SEED)
    ways: dict[str, Callable[[Grey], Grey]] = {
        "inverted": inverted,
        "turned 90": lambda film: turned(film, 1),
        "turned 180": lambda film: turned(film, 2),
        "turned 270": lambda film: turned(film, 3),
        "a part of 25 to 45 % of the area": lambda film: part_of(film, rng),
        **{name: lambda film, way=way: way(film, rng) for name, way in FROM_FILMS.items()},  # type: ignore[misc]
    }
    for name, way in ways.items():
        pixels = (to_eight_bit(read_radiograph(film.path).pixels) for film in films)
        yield gate.group(name, (drawn(way(each)) for each in pixels))


def drawings(gate: Gate, each: int) -> Iterator[Group]:
    """Yield drawings of the sorts that the gate was fitted on, drawn anew."""
    for name, draw in {**PICTURES, **OTHER_FILMS, **LATERALS}.items():
        rng = np.random.default_rng((SEED, *name.encode()))
        yield gate.group(name, (drawn(draw(rng)) for _ in range(each)))


def others(gate: Gate, folder: Path) -> Iterator[Group]:
    """Yield pictures of a folder, a group for each folder with files below it."""
    for group in sorted(
        {path.parent for path in folder.rglob("*") if path.is_file() and path.suffix != ".csv"}
    ):
        name = group.relative_to(folder).as_posix()
        yield gate.group(name, readable(path for path in group.iterdir() if path.is_file()))


def layouts(made_of: Path, each: int) -> Iterator[Group]:
    """Yield pictures that show a film among other things, by the checks on pixels alone."""
    films = films_below(made_of)
    for name, make in MADE.items():
        rng = np.random.default_rng((SEED, *name.encode()))
        chosen = (rng.choice(len(films), 2, replace=False) for _ in range(each))
        pairs = ([to_eight_bit(read_radiograph(films[index]).pixels) for index in two] for two in chosen)
        yield pixels_alone(name, (read_radiograph(make(one, other, rng)) for one, other in pairs))


def domains(gate: Gate, folder: Path) -> list[str]:
    """Return as a row of a table whose films those of a folder are taken for, refused ones left out."""
    found = [gate.assess(film) for film in readable(films_below(folder))]
    judged = [each for each in found if not each.reasons]
    of_domain = Counter(each.domain for each in judged)
    counts = [of_domain[name] for name in (*gate.checks.domains, UNCERTAIN_DOMAIN)]
    typed = sum(not each.stage2_warnings for each in judged)
    cells = [folder.name, len(judged), *counts, typed, sum(bool(each.warnings) for each in judged)]
    return list(map(str, cells))


def films_below(folder: Path) -> list[Path]:
    """Return the films in a folder and below, sorted."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def pixels_alone(name: str, radiographs: Iterable[Radiograph]) -> Group:
    """Try the checks on pixels; a film that is judged with a warning counts as such."""
    group = Group(name)
    for radiograph in radiographs:
        checks = check_pixels(radiograph)
        group.tried += 1
        group.codes.update([checks.reasons[0].code] if checks.reasons else [])
        group.warned += bool(checks.warnings and not checks.reasons)
    return group


def milliseconds(gate: Gate, side: int, runs: int = 50) -> float:
    """Return what the checks on one film's features take, stage 1 left out."""
    film = drawn(np.random.default_rng(0).integers(0, 255, (side, side), np.uint8))
    features = gate.model.run(prepare(film, gate.model.spec)).features
    spent = []
    for _ in range(runs):
        started = time.perf_counter()
        gate.checks.assess(features, [None])
        spent.append(time.perf_counter() - started)
    return 1000 * float(np.median(spent))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of labelled films")
    parser.add_argument("--split", type=Path, help="of the run that made the models; goes with --data")
    parser.add_argument(
        "--renderings", type=Path, action="append", default=[], help="further folders of the split's films"
    )
    parser.add_argument(
        "--others", type=Path, action="append", default=[], help="holds a folder for each group of pictures"
    )
    parser.add_argument("--models", type=Path, help="by default the bundled ones")
    parser.add_argument("--domains", type=Path, nargs="+", default=[], help="folders of films")
    parser.add_argument("--layouts", type=Path, nargs="+", default=[], help="folders, for pixels alone")
    parser.add_argument("--made-of", type=Path, help="films to make pictures of; goes with --layouts")
    parser.add_argument("--made", type=int, default=400, help="pictures made of each sort")
    parser.add_argument("--films", type=int, default=80, help="films that are shifted and spoilt")
    parser.add_argument("--drawings", type=int, default=20, help="drawings of each sort")
    parser.add_argument("--output", type=Path, help="JSON file that the tables are kept in")
    given = parser.parse_args()
    if bool(given.data) != bool(given.split):
        parser.error("--data and --split go together")
    if bool(given.layouts) != bool(given.made_of):
        parser.error("--layouts and --made-of go together")
    tables = on_pixels(given) if given.layouts else on_features(given)
    if given.output is not None:
        tables.save(given.output)


def on_pixels(given: argparse.Namespace) -> Tables:
    """Return how often the checks on pixels alone refused what."""
    tables = Tables()
    films = (pixels_alone(folder.name, readable(films_below(folder))) for folder in given.layouts)
    tables.show("films by pixels alone", (group.row() for group in films), GROUP)
    tables.show("layouts", (group.row() for group in layouts(given.made_of, given.made)), GROUP)
    return tables


def on_features(given: argparse.Namespace) -> Tables:
    """Return how often all checks refused what, or whose films they took them for."""
    cascade = Cascade.load(given.models)
    gate = Gate(cascade)
    tables = Tables(cascade.version)
    print(f"Models {cascade.version}.")
    if given.domains:
        head = ["films", "judged", *(name or "main data set" for name in gate.checks.domains), "uncertain"]
        head += ["stage 2 may name a type", "unfamiliar"]
        tables.show("domains", (domains(gate, folder) for folder in given.domains), head)
        return tables
    if given.data:
        split = Split.load(given.split)
        folders = [given.data, *given.renderings]
        passing = false_refusals(gate, folders, split, given.films)
        tables.show("held-out films", (group.row() for group in passing), GROUP)
        held_out = [film for film in find_training_films(given.data) if film.name in split.validation]
        altered = spoilt(gate, choose_films(held_out, given.films, SEED))
        tables.show("altered films", (group.row() for group in altered), GROUP)
    tables.show("drawings", (group.row() for group in drawings(gate, given.drawings)), GROUP)
    for folder in given.others:
        tables.show(folder.name, (group.row() for group in others(gate, folder)), GROUP)
    for side in (224, 2000):
        print(f"\nChecks on features, film of {side} x {side}: {milliseconds(gate, side):.2f} ms")
    return tables


if __name__ == "__main__":
    main()
