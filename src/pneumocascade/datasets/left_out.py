"""What a loader leaves out, counted by reason, the first few of each by name."""

from __future__ import annotations

from collections import Counter
from typing import Any

from pneumocascade.types import encodable

MAX_FIRST = 5
"""Names that are kept of each reason."""

REASONS: dict[str, tuple[str, str]] = {
    "missing_file": ("labelled film is missing", "labelled films are missing"),
    "unopened": ("file or folder cannot be opened", "files or folders cannot be opened"),
    "ambiguous_file": ("path of the labels fits several films", "paths of the labels fit several films"),
    "contradictory_label": ("film has labels that contradict", "films have labels that contradict"),
    "uncertain_label": ("label is uncertain", "labels are uncertain"),
    "other_label": ("label is neither normal nor pneumonia", "labels are neither normal nor pneumonia"),
    "no_label": ("film has no label", "films have no label"),
    "other_split": ("film lies below a split that is not read", "films lie below splits that are not read"),
    "outside_splits": ("film lies outside the splits", "films lie outside the splits"),
    "not_a_film": ("file is no film", "files are no films"),
    "no_picture": ("DICOM object has no picture", "DICOM objects have no picture"),
    "linked_folder": ("link to a folder is not followed", "links to folders are not followed"),
    "repeated_row": ("row repeats a film with the same label", "rows repeat a film with the same label"),
    "other_aetiology": (
        "film is of another aetiology than bacterial or viral: it counts for stage 1 alone",
        "films are of other aetiologies than bacterial or viral: they count for stage 1 alone",
    ),
    "unused_patient": ("row of the patients' file names no film", "rows of the patients' file name no film"),
}
"""What is said of each reason: of one, of several."""

INCOMPLETE = ("missing_file", "ambiguous_file", "unopened")
"""Reasons for which a film that is asked for may be missing."""


class LeftOut:
    """Counts of what was left out.

    Attributes
    ----------
    counts : Counter of str
        By reason, of ``REASONS``.
    first : dict of str to list of str
        Names of the first ``MAX_FIRST`` of each reason.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.first: dict[str, list[str]] = {}

    def add(self, reason: str, name: str) -> None:
        """Count something by its reason."""
        if reason not in REASONS:
            raise ValueError(reason)
        self.counts[reason] += 1
        names = self.first.setdefault(reason, [])
        if len(names) < MAX_FIRST:
            names.append(encodable(name))

    def include(self, other: LeftOut) -> None:
        """Add what another loader left out."""
        for reason, count in other.counts.items():
            names = self.first.setdefault(reason, [])
            names += other.first[reason][: MAX_FIRST - len(names)]
            self.counts[reason] += count

    @property
    def incomplete(self) -> bool:
        """Whether a film that is asked for may be missing."""
        return any(self.counts[reason] for reason in INCOMPLETE)

    def to_dict(self) -> dict[str, Any]:
        """Return counts and first names as JSON-ready values, in the order of ``REASONS``."""
        reasons = [reason for reason in REASONS if self.counts[reason]]
        return {
            "n": self.counts.total(),
            "by_reason": {reason: self.counts[reason] for reason in reasons},
            "first": {reason: self.first[reason] for reason in reasons},
        }

    def lines(self) -> list[str]:
        """Return a line for people on each reason."""
        lines = []
        for reason, texts in REASONS.items():
            if count := self.counts[reason]:
                names = self.first[reason]
                more = f" and {count - len(names)} more" if count > len(names) else ""
                lines.append(f"{count} {texts[count > 1]}: {', '.join(names)}{more}")
        return lines
