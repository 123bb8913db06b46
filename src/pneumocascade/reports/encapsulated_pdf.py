"""The PDF report of one film as a DICOM object (Encapsulated PDF, PS3.3, A.45.1)."""

from __future__ import annotations

from datetime import datetime

from pneumocascade.errors import MissingExtraError, UsageError
from pneumocascade.reports import common_attributes
from pneumocascade.reports.film_errors import film_errors
from pneumocascade.types import Prediction

try:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

    from pneumocascade.imaging.dicom.values import text_of
except ModuleNotFoundError as error:
    raise MissingExtraError("an Encapsulated PDF", "report") from error

TITLE = "Two-stage reading of a chest radiograph (research use only)"

_TAKEN_OVER = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
"""Of the patient and the study."""


@film_errors("an Encapsulated PDF")
def encapsulated_pdf(
    prediction: Prediction, pdf: bytes, source: Dataset, *, made: datetime | None = None
) -> Dataset:
    """Return a PDF report as an object in the study of its film, in a series of its own.

    Parameters
    ----------
    prediction : Prediction
        With status ``"ok"`` or ``"refused"``.
    pdf : bytes
        Of :func:`pneumocascade.reports.pdf.report_pdf`.
    source : pydicom.Dataset
        The film's own object: patient and study are taken from it, and it is what is referred to.
    made : datetime, optional
        When, by default now.

    Returns
    -------
    pydicom.Dataset
        In explicit little endian and UTF-8; ``save_as`` writes it.

    Raises
    ------
    UsageError
        Where the film could not be read, or the bytes are no PDF.
    UnsuitableImageError
        ``incomplete_object``, as of :func:`pneumocascade.reports.common_attributes.header_of`, and where an
        attribute of ``source`` makes no sense.
    """
    if prediction.status == "error":
        raise UsageError("the film could not be read: there is nothing to write a report of")
    if not pdf.startswith(b"%PDF-"):
        raise UsageError("the report is no PDF: expected bytes that begin with %PDF-")
    header = common_attributes.header_of(source)
    moment = made or datetime.now().astimezone()
    document = Dataset()
    for keyword in _TAKEN_OVER:
        setattr(document, keyword, header[keyword].value)
    document.SpecificCharacterSet = common_attributes.CHARACTER_SET
    document.SOPClassUID = EncapsulatedPDFStorage
    document.SOPInstanceUID = common_attributes.new_uid()
    _add_series(document, prediction)
    _add_document(document, pdf, header, moment)
    document.file_meta = FileMetaDataset()
    document.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    document.file_meta.MediaStorageSOPClassUID = document.SOPClassUID
    document.file_meta.MediaStorageSOPInstanceUID = document.SOPInstanceUID
    return document


def _add_series(document: Dataset, prediction: Prediction) -> None:
    """Add the modules Encapsulated Document Series, General Equipment and SC Equipment."""
    document.Modality = "DOC"
    document.SeriesInstanceUID = common_attributes.new_uid()
    document.SeriesNumber = common_attributes.PDF_SERIES
    document.SeriesDescription = common_attributes.PDF_DESCRIPTION
    document.InstanceNumber = 1
    document.ConversionType = "WSD"
    document.Manufacturer = document.ManufacturerModelName = common_attributes.MANUFACTURER
    common_attributes.sign(document, prediction.model_version)


def _add_document(document: Dataset, pdf: bytes, header: Dataset, moment: datetime) -> None:
    """Add the module Encapsulated Document (PS3.3, C.24.2)."""
    document.ContentDate, document.ContentTime = moment.strftime("%Y%m%d"), moment.strftime("%H%M%S")
    document.AcquisitionDateTime = ""
    document.BurnedInAnnotation = "NO" if text_of(header, "BurnedInAnnotation") == "NO" else "YES"
    document.DocumentTitle = TITLE
    document.ConceptNameCodeSequence = []
    document.VerificationFlag = "UNVERIFIED"
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = (
        header.SOPClassUID,
        header.SOPInstanceUID,
    )
    document.SourceInstanceSequence = [reference]
    document.MIMETypeOfEncapsulatedDocument = "application/pdf"
    document.EncapsulatedDocumentLength = len(pdf)
    document.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
