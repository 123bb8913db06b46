"""Attributes of results as DICOM JSON (PS3.18, F), for answers to searches and as metadata."""

from __future__ import annotations

from typing import Any

from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from pneumocascade.imaging.dicom.quiet import quiet

BULK_BYTES = 1024
"""Values of bytes beyond this are given by their URI."""

_BULK = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})


def json_of(dataset: Dataset, url: str | None = None) -> dict[str, Any]:
    """Return a data set as DICOM JSON, which is in UTF-8 whatever the object was in.

    Parameters
    ----------
    dataset : pydicom.Dataset
        It is changed.
    url : str, optional
        Of the object, below which large values are; without, they are left out.
    """
    bulk: dict[str, dict[str, str]] = {}
    for element in list(dataset):
        if element.VR in _BULK and len(element.value or b"") > BULK_BYTES:
            name = f"{int(element.tag):08X}"
            bulk[name] = {"vr": element.VR, "BulkDataURI": f"{url}/bulkdata/{name}"}
            del dataset[element.tag]
    if "SpecificCharacterSet" in dataset:
        dataset.SpecificCharacterSet = "ISO_IR 192"
    with quiet():
        made = dataset.to_json_dict(suppress_invalid_tags=True)
    return dict(sorted({**made, **(bulk if url else {})}.items()))


def chosen(dataset: Dataset, keywords: tuple[str, ...]) -> Dataset:
    """Return a data set with some attributes of another, as far as they are there."""
    made = Dataset()
    for keyword in keywords:
        if keyword in dataset:
            made[keyword] = dataset[keyword]
    return made


def keyword_of(name: str) -> str:
    """Return the keyword of an attribute that is named by keyword or tag; empty where there is none."""
    if len(name) == 8:
        try:
            return keyword_for_tag(Tag(int(name, 16)))
        except ValueError:
            pass
    return name if tag_for_keyword(name) is not None else ""
