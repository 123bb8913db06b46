"""A file of labels: which column holds what, what its values mean, what each row says of its film."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pneumocascade.datasets.labels import (
    AETIOLOGIES,
    BACTERIAL,
    MEANINGS,
    NORMAL,
    OTHER,
    PNEUMONIA,
    VIRAL,
    aetiology_meanings,
    finding_meanings,
    indicator_meanings,
    is_blank,
    plain,
)
from pneumocascade.datasets.table import Row, Table, read_table
from pneumocascade.errors import DataSetError, UsageError

PATH, FINDING, AETIOLOGY, PATIENT = "path", "finding", "aetiology", "patient"

INDICATORS = (NORMAL, PNEUMONIA, BACTERIAL, VIRAL)
"""Columns that stand for one finding each, with 1 or 0."""

_COLUMNS = (PATH, FINDING, AETIOLOGY, PATIENT, *INDICATORS)

_ALSO = {AETIOLOGY: "etiology"}


@dataclass(frozen=True, slots=True)
class LabelOptions:
    """Where labels and patients come from, if not from folders and names.

    Attributes
    ----------
    labels : Path or None
        CSV file with the columns ``path``, ``finding``, ``aetiology``, ``patient``, of which only the first
        must be there.
    columns : tuple of str
        Other names of columns, as ``"path=Image Index"``; several with commas between them. Instead of
        ``finding``, ``normal`` and ``pneumonia`` (and instead of ``aetiology``, ``bacterial`` and ``viral``)
        name columns of 1 and 0, one or several each.
    values : tuple of str
        Meanings of further values, as ``"pneumonia=Lung Opacity"``: of ``normal``, ``pneumonia``,
        ``bacterial``, ``viral`` and ``uncertain``.
    patients : str or None
        A regular expression whose first group, searched in a film's path, is the patient; or a CSV file with
        the columns ``path`` and ``patient``.
    """

    labels: Path | None = None
    columns: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    patients: str | None = None

    def to_dict(self) -> dict[str, str | list[str]]:
        """Return what is given as JSON-ready values; the paths are made absolute."""
        given: dict[str, str | list[str]] = {}
        if self.labels is not None:
            given["labels"] = str(self.labels.resolve())
        if self.columns:
            given["label_columns"] = list(self.columns)
        if self.values:
            given["label_values"] = list(self.values)
        if self.patients is not None:
            given["patients"] = str(Path(self.patients).resolve()) if is_csv(self.patients) else self.patients
        return given

    @classmethod
    def from_dict(cls, given: dict[str, str | list[str]]) -> LabelOptions:
        """Return the options that :meth:`to_dict` gave."""
        labels, patients = given.get("labels"), given.get("patients")
        return cls(
            Path(str(labels)) if labels else None,
            tuple(given.get("label_columns", ())),
            tuple(given.get("label_values", ())),
            str(patients) if patients else None,
        )


@dataclass(frozen=True, slots=True)
class LabelRow:
    """What a row says of a film.

    Attributes
    ----------
    line : int
    path : str
        As the file has it.
    meanings : frozenset of str
        Of finding and aetiology together.
    said : str
        The cells that say so, for people.
    aetiology : str
        The cell of an aetiology that is neither bacterial nor viral; else empty.
    patient : str
        Empty where the row names none.
    """

    line: int
    path: str
    meanings: frozenset[str]
    said: str
    aetiology: str
    patient: str


@dataclass(frozen=True, slots=True)
class LabelFile:
    """A file of labels.

    Attributes
    ----------
    path : Path
    rows : tuple of LabelRow
    has_findings, has_aetiologies : bool
        Whether there are columns for these; what has none is for the folders to say.
    """

    path: Path
    rows: tuple[LabelRow, ...]
    has_findings: bool
    has_aetiologies: bool


def is_csv(name: Path | str) -> bool:
    """Return whether a name is that of a CSV file, not a folder or a pattern."""
    return str(name).casefold().endswith(".csv")


def read_label_file(options: LabelOptions) -> LabelFile:
    """Read the file of labels that options name.

    Raises
    ------
    DataSetError
        Where the file cannot be read, a column is missing, a row has no path, or an indicator column has
        a value that is none of 1, 0, -1 and blank.
    UsageError
        Where a mapping of columns or values makes no sense.
    """
    assert options.labels is not None
    given = parse_mapping(options.columns, _COLUMNS, "--label-columns")
    columns = _Columns(read_table(options.labels), given)
    values = parse_mapping(options.values, MEANINGS, "--label-values")
    return columns.read(values)


def read_patient_rows(path: Path) -> list[tuple[int, str, str]]:
    """Return line, path and patient of each row of a file of patients; blank patients are empty.

    Raises
    ------
    DataSetError
        Where the file cannot be read, or the column ``path`` or ``patient`` is missing.
    """
    table = read_table(path)
    places = [table.index_of(column) for column in (PATH, PATIENT)]
    if None in places:
        raise DataSetError(
            f"{path} has the columns {', '.join(table.columns)}; a file of patients has the columns path and "
            "patient"
        )
    first, second = (place for place in places if place is not None)
    return [
        (row.line, row.cells[first], _patient(row.cells[second])) for row in table.rows if row.cells[first]
    ]


def parse_mapping(given: Sequence[str], names: Sequence[str], option: str) -> list[tuple[str, str]]:
    """Return pairs of a name of ours and one of theirs from texts such as ``path=Image Index,finding=Label``.

    Raises
    ------
    UsageError
        Where a text is not made so.
    """
    pairs = []
    start = re.compile(rf"(?:^|,)\s*({'|'.join(names)})\s*=", re.IGNORECASE)
    for text in given:
        marks = list(start.finditer(text))
        if not marks or text[: marks[0].start()].strip():
            raise UsageError(
                f"{option} is {text!r}; expected NAME=VALUE, with NAME one of {', '.join(names)}, and commas "
                "between several"
            )
        ends = [mark.start() for mark in marks[1:]] + [len(text)]
        for mark, end in zip(marks, ends, strict=True):
            value = text[mark.end() : end].strip().strip(",").strip()
            if not value:
                raise UsageError(f"{option} names nothing for {mark.group(1)} in {text!r}")
            pairs.append((mark.group(1).casefold(), value))
    return pairs


class _Columns:
    """The columns of a table by what they hold."""

    def __init__(self, table: Table, given: Sequence[tuple[str, str]]) -> None:
        self.table = table
        self.places: dict[str, list[int]] = {}
        for name, column in given:
            if (place := table.index_of(column)) is None:
                raise self._missing(name, column)
            self.places.setdefault(name, []).append(place)
        self._check_given()
        for name in self._by_default():
            place = table.index_of(name)
            if place is None and name in _ALSO:
                place = table.index_of(_ALSO[name])
            if place is not None:
                self.places[name] = [place]
        if PATH not in self.places:
            raise self._missing(PATH, PATH)

    def _check_given(self) -> None:
        for name in (PATH, FINDING, AETIOLOGY, PATIENT):
            if len(self.places.get(name, ())) > 1:
                raise UsageError(f"--label-columns names two columns for {name}; name one")
        for one, others in ((FINDING, (NORMAL, PNEUMONIA)), (AETIOLOGY, (BACTERIAL, VIRAL))):
            if one in self.places and any(other in self.places for other in others):
                raise UsageError(
                    f"--label-columns names a column for {one} and one for {' or '.join(others)}; name either"
                )

    def _by_default(self) -> list[str]:
        """Return the columns that count by their own name: those that nothing else stands for."""
        wanted = [name for name in (PATH, FINDING, AETIOLOGY, PATIENT) if name not in self.places]
        if NORMAL in self.places or PNEUMONIA in self.places:
            wanted = [name for name in wanted if name != FINDING]
        if BACTERIAL in self.places or VIRAL in self.places:
            wanted = [name for name in wanted if name != AETIOLOGY]
        return wanted

    def _missing(self, name: str, column: str) -> DataSetError:
        return DataSetError(
            f"{self.table.path}, line 1, has no column {column!r} for the {name}, but "
            f"{', '.join(map(repr, self.table.columns))}; name it with --label-columns {name}=COLUMN"
        )

    def read(self, values: Sequence[tuple[str, str]]) -> LabelFile:
        both = AETIOLOGY in self.places
        of_finding = _value_map([each for each in values if not (both and each[0] in AETIOLOGIES)])
        of_aetiology = _value_map([each for each in values if each[0] in AETIOLOGIES])
        rows = tuple(self._rows(of_finding, of_aetiology))
        says = set(self.places)
        return LabelFile(
            self.table.path,
            rows,
            has_findings=bool(says & {FINDING, *INDICATORS}),
            has_aetiologies=bool(says & {AETIOLOGY, BACTERIAL, VIRAL}),
        )

    def _rows(self, of_finding: dict[str, str], of_aetiology: dict[str, str]) -> Iterator[LabelRow]:
        for row in self.table.rows:
            cells = {name: [row.cells[place] for place in places] for name, places in self.places.items()}
            path = cells[PATH][0]
            if not path:
                raise DataSetError(
                    f"{self.table.path}, line {row.line}, column {self._name(PATH)!r}, is blank; expected "
                    "the path of a film"
                )
            finding, aetiology = cells.get(FINDING, [""])[0], cells.get(AETIOLOGY, [""])[0]
            kind = aetiology_meanings(aetiology, of_aetiology)
            said = finding_meanings(finding, of_finding) | (kind - {OTHER}) | self._indicated(row)
            yield LabelRow(
                row.line,
                path,
                frozenset(said),
                self._shown(row),
                aetiology if OTHER in kind else "",
                _patient(cells.get(PATIENT, [""])[0]),
            )

    def _indicated(self, row: Row) -> set[str]:
        said: set[str] = set()
        for name in INDICATORS:
            for place in self.places.get(name, ()):
                indicated = indicator_meanings(row.cells[place], name)
                if indicated is None:
                    raise DataSetError(
                        f"{self.table.path}, line {row.line}, column {self.table.columns[place]!r}, is "
                        f"{row.cells[place]!r}; expected 1, 0, -1 for uncertain, or nothing"
                    )
                said |= indicated
        # That one column says 0 matters only where no other says 1.
        return said - {OTHER} or said

    def _shown(self, row: Row) -> str:
        places = [place for name in (FINDING, *INDICATORS) for place in self.places.get(name, ())]
        shown = [f"{self.table.columns[place]} {row.cells[place]!r}" for place in places]
        return f"line {row.line}" + (f", column {', '.join(shown)}" if shown else "")

    def _name(self, name: str) -> str:
        return self.table.columns[self.places[name][0]]


def _patient(cell: str) -> str:
    """Return the patient that a cell names; empty for ``nan`` and the like, which are no one's name."""
    return "" if is_blank(cell) else cell


def _value_map(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for meaning, value in pairs:
        if found.setdefault(plain(value), meaning) != meaning:
            raise UsageError(
                f"--label-values says that {value!r} is {found[plain(value)]} and {meaning}; give it one "
                "meaning"
            )
    return found
