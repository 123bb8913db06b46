"""Films with the labels of a file of labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pneumocascade.datasets.folders import aetiology_by_name, name_of_film, place_of, split_of
from pneumocascade.datasets.label_file import LabelFile
from pneumocascade.datasets.labels import NORMAL, PNEUMONIA, FoundFilm, Label, label_of
from pneumocascade.datasets.left_out import LeftOut
from pneumocascade.datasets.match import MatchedLabels, RowsOfFilm, parts_of


def label_by_file(
    labels: LabelFile,
    matched: MatchedLabels,
    files: Sequence[Path],
    root: Path,
    splits: Sequence[str],
    left_out: LeftOut,
) -> list[FoundFilm]:
    """Return the films that a file labels, in its order.

    What the file has no column for is said by folders and names.

    Parameters
    ----------
    labels : LabelFile
    matched : MatchedLabels
        Its rows by film.
    files : sequence of Path
        The films below the root.
    root : Path
        Folder of the films, absolute.
    splits : sequence of str
        Films below folders of other splits are left out.
    left_out : LeftOut
        Gets the films without a label to measure by.
    """
    for path in files:
        if path not in matched.rows:
            left_out.add("no_label", path.relative_to(root).as_posix())
    chosen: list[tuple[Path, Label, RowsOfFilm]] = []
    for path, rows in matched.rows.items():
        below = path.relative_to(root) if path.is_relative_to(root) else Path(path.name)
        label = _label_of(root / below, root, labels, rows)
        split = split_of(below.parts[:-1])
        if split is not None and split not in splits:
            left_out.add("other_split", below.as_posix())
        elif label.reason:
            left_out.add(label.reason, rows.shown)
        else:
            chosen.append((path, label, rows))
            if rows.aetiology and label.finding == PNEUMONIA and label.aetiology is None:
                left_out.add("other_aetiology", rows.aetiology)
    names = _names([(path, rows.path) for path, _, rows in chosen], len(matched.dropped))
    return [
        FoundFilm(path, name, label, root.name, rows.patient)
        for (path, label, rows), name in zip(chosen, names, strict=True)
    ]


def _label_of(path: Path, root: Path, labels: LabelFile, rows: RowsOfFilm) -> Label:
    """Return the label by the rows; of what the file has no column for, by folders and name."""
    label = rows.label
    if not labels.has_findings:
        return place_of(path, root).label
    if labels.has_aetiologies or label.finding != PNEUMONIA or label.aetiology is not None:
        return label
    place = place_of(path, root)
    by_folder = label_of((place.meanings | {PNEUMONIA}) - {NORMAL}).aetiology
    return Label(PNEUMONIA, by_folder or aetiology_by_name(place.name))


def _names(found: Sequence[tuple[Path, str]], dropped: int) -> list[str]:
    """Return the films' names: those of the files; equal ones with the folders that the rows give."""
    plain = [name_of_film(path.name) for path, _ in found]
    count = Counter(plain)
    return [
        name if count[name] == 1 else "/".join((*parts_of(text)[dropped:-1], name))
        for name, (_, text) in zip(plain, found, strict=True)
    ]
