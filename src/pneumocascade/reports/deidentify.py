"""De-identification by the Basic Application Level Confidentiality Profile (PS3.15, Annex E).

Which attribute is removed, emptied or replaced is decided by the tables of ``dicom-anonymizer``, which
are made of the standard's own. Its walk over a data set stays outside nested sequences and keeps the
UIDs it has met for as long as the process lives; the walk here does neither.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import TypeAlias

from pneumocascade.errors import MissingExtraError, UnsuitableImageError, UsageError
from pneumocascade.reports import common_attributes
from pneumocascade.reports.film_errors import film_errors

try:
    import dicomanonymizer.simpledicomanonymizer as profile
    from highdicom.sr import CodedConcept
    from pydicom.datadict import dictionary_has_tag, dictionary_VM
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.multival import MultiValue
    from pydicom.sr.codedict import codes
    from pydicom.tag import BaseTag
    from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, UID, ExplicitVRLittleEndian

    from pneumocascade.imaging.dicom.values import value_of
except ModuleNotFoundError as error:
    raise MissingExtraError("de-identification", "report") from error

EDITION = "dicomfields_2026c"
"""Edition of the standard whose table is used, as ``dicom-anonymizer`` names it."""

METHOD = "PS3.15 Annex E, Basic Profile; pixels are as they were"

RUN = uuid.uuid4()
"""Secret of this process, from which new UIDs are derived: one UID becomes one other throughout a run,
and nobody can tell which without it."""

_REPEATING = (0x5000, 0x6000)
"""Curves and overlays: text may be drawn in them, so they go as a whole."""

_NO_TIME = {"DA": "19000101", "DT": "19000101000000", "TM": "000000"}
"""Dates and times where one must be given, by their value representation."""

_Action: TypeAlias = Callable[[Dataset, BaseTag], None]


@film_errors("a de-identified object")
def deidentify(dataset: Dataset, run: uuid.UUID = RUN) -> Dataset:
    """Return a copy of a DICOM object without what tells who the patient is.

    Private attributes, those that the data dictionary does not know, curves and overlays go, at every
    depth. The content of a report made here stays, with new UIDs: it names nobody. Pixels stay.

    Parameters
    ----------
    dataset : pydicom.Dataset
        A film's object, or a report or capture made here; left as it is.
    run : uuid.UUID
        Objects that refer to each other are given the same one; by default this process's own.

    Returns
    -------
    pydicom.Dataset
        With *Patient Identity Removed* and *De-identification Method*, an empty preamble, and the
        transfer syntax that it had.

    Raises
    ------
    UnsuitableImageError
        ``burned_in_annotation``, where the object says that its pixels tell who the patient is;
        ``incomplete_object``, where an attribute of it makes no sense.
    UsageError
        For a structured report of others: its text may say anything.
    """
    if "PixelData" in dataset and "YES" in str(value_of(dataset, "BurnedInAnnotation")).upper():
        raise UnsuitableImageError(
            "burned_in_annotation",
            "the film says that patient data are written in its pixels (Burned In Annotation): it cannot "
            "be de-identified",
        )
    ours = value_of(dataset, "SeriesDescription") == common_attributes.SR_DESCRIPTION
    if "ContentSequence" in dataset and not ours:
        raise UsageError("only structured reports made by this package can be de-identified")
    clean = common_attributes.copy_of(dataset)
    _clean(clean, _actions(run), set())
    _declare(clean, report="ContentSequence" in clean)
    meta = getattr(dataset, "file_meta", FileMetaDataset())
    clean.file_meta = _file_meta(clean, UID(meta.get("TransferSyntaxUID", ExplicitVRLittleEndian)))
    clean.preamble = bytes(128)
    return clean


def _actions(run: uuid.UUID) -> Mapping[tuple[int, int], _Action]:
    """Return what to do by group and element: the library's table, with actions of our own for some."""

    def rename(dataset: Dataset, tag: BaseTag) -> None:
        value = dataset[tag].value
        many = list(value) if isinstance(value, MultiValue) else [value]
        if dictionary_VM(tag) == "1":
            many = many[:1]
        new = [f"2.25.{uuid.uuid5(run, old).int}" for old in many if old]
        dataset[tag].value = new if len(new) > 1 else "".join(new)

    own: Mapping[_Action, _Action] = {
        profile.delete: _remove,  # the library keeps dates, with a value of its own
        profile.empty: _empty,
        profile.delete_or_empty: _empty,
        profile.replace: _replace,
        profile.empty_or_replace: _replace,
        profile.delete_or_replace: _replace,
        profile.delete_or_empty_or_replace: _replace,
        profile.replace_UID: rename,
        profile.delete_or_empty_or_replace_UID: profile.keep,  # what lies in these sequences is cleaned
    }
    table: dict[tuple[int, int], _Action] = profile.initialize_actions(EDITION)
    actions = {tag: own.get(action, action) for tag, action in table.items()}
    actions[0x0040, 0xA730] = profile.keep  # Content Sequence: its items are cleaned, too
    actions[0x0008, 0x103E] = _remove_unless_ours  # Series Description
    return actions


def _remove(dataset: Dataset, tag: BaseTag) -> None:
    del dataset[tag]


def _empty(dataset: Dataset, tag: BaseTag) -> None:
    dataset[tag].value = None


def _replace(dataset: Dataset, tag: BaseTag) -> None:
    """Put in the library's dummy value; its dates, of the year 1, are none that validators take."""
    element = dataset[tag]
    if element.VR in _NO_TIME:
        element.value = _NO_TIME[element.VR]
    else:
        profile.replace(dataset, tag)


def _remove_unless_ours(dataset: Dataset, tag: BaseTag) -> None:
    if str(dataset[tag].value) not in common_attributes.DESCRIPTIONS:
        del dataset[tag]


def _clean(dataset: Dataset, actions: Mapping[tuple[int, int], _Action], done: set[int]) -> None:
    """Clean a data set and what lies in its sequences; one item may lie in several of them."""
    if id(dataset) in done:
        return
    done.add(id(dataset))
    for tag in list(dataset.keys()):
        if tag.is_private or tag.group & 0xFF00 in _REPEATING or not dictionary_has_tag(tag):
            del dataset[tag]
        elif action := actions.get((tag.group, tag.element)):
            action(dataset, tag)
        if tag in dataset and dataset[tag].VR == "SQ":
            for item in dataset[tag].value:
                _clean(item, actions, done)


def _declare(clean: Dataset, *, report: bool) -> None:
    """Say what was done (PS3.15, E.1.1; codes of CID 7050)."""
    applied = [codes.DCM.BasicApplicationConfidentialityProfile]
    if report:
        applied.append(codes.DCM.CleanStructuredContentOption)
    if "SeriesDescription" in clean:
        applied.append(codes.DCM.CleanDescriptorsOption)
    clean.PatientIdentityRemoved = "YES"
    clean.DeidentificationMethod = METHOD
    clean.DeidentificationMethodCodeSequence = [CodedConcept(*code) for code in applied]
    clean.LongitudinalTemporalInformationModified = "REMOVED"


def _file_meta(clean: Dataset, transfer_syntax: UID) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = clean.SOPClassUID
    meta.MediaStorageSOPInstanceUID = clean.SOPInstanceUID
    meta.TransferSyntaxUID = transfer_syntax
    meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    return meta
