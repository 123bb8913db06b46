"""Values of a data set, whatever state they are in: a malformed one counts as not there."""

from __future__ import annotations

import math
from typing import Any

from pydicom.dataset import Dataset


def value_of(dataset: Dataset, keyword: str) -> Any:
    """Return a value, ``None`` where there is none or it cannot be understood."""
    try:
        return dataset.get(keyword)
    except Exception:  # noqa: BLE001  pydicom converts when asked, and raises many kinds on damaged bytes
        return None


def first_of(dataset: Dataset, keyword: str) -> Any:
    """Return the first of a value's parts, ``None`` where there is none."""
    value = value_of(dataset, keyword)
    if isinstance(value, (str, bytes)) or not hasattr(value, "__getitem__"):
        return value
    return value[0] if len(value) else None


def number_of(dataset: Dataset, keyword: str) -> float | None:
    """Return the first of a value's parts as a finite number, ``None`` where it is none."""
    return _number(first_of(dataset, keyword))


def numbers_of(dataset: Dataset, keyword: str) -> list[float | None]:
    """Return a value's parts as finite numbers, ``None`` for a part that is none."""
    value = value_of(dataset, keyword)
    if value is None:
        return []
    several = not isinstance(value, (str, bytes)) and hasattr(value, "__getitem__")
    return [_number(part) for part in (value if several else [value])]


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def whole_of(dataset: Dataset, keyword: str, default: int) -> int:
    """Return the first of a value's parts as a whole number; ``default`` where it is not said.

    Raises
    ------
    ValueError
        Where it is said, but is no whole number.
    """
    if value_of(dataset, keyword) in (None, ""):
        if keyword in dataset and dataset.get_item(keyword).value not in (None, b"", ""):
            raise ValueError(keyword)
        return default
    number = number_of(dataset, keyword)
    if number is None or number != int(number):
        raise ValueError(keyword)
    return int(number)


def text_of(dataset: Dataset, keyword: str) -> str:
    """Return the first of a value's parts as text in upper case, empty where there is none."""
    value = first_of(dataset, keyword)
    return "" if value is None else " ".join(str(value).replace("\0", " ").split()).upper()


def items_of(dataset: Dataset, keyword: str) -> list[Dataset]:
    """Return the items of a sequence, none where it is missing or no sequence."""
    value = value_of(dataset, keyword)
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        return []
    return [item for item in value if isinstance(item, Dataset)]


def functional_group(dataset: Dataset, index: int, keyword: str) -> Dataset:
    """Return where values of a frame stand: its own functional group, the shared one, or the data set.

    DICOM PS3.3, C.7.6.16.1.

    Parameters
    ----------
    dataset : Dataset
    index : int
        Of the frame, from 0.
    keyword : str
        Of the macro's sequence, for instance ``"FrameVOILUTSequence"``.
    """
    own = items_of(dataset, "PerFrameFunctionalGroupsSequence")
    shared = items_of(dataset, "SharedFunctionalGroupsSequence")
    for group in [*own[index : index + 1], *shared[:1]]:
        if macro := items_of(group, keyword):
            return macro[0]
    return dataset
