"""Objects of films as modalities write them, made by code, and what is planted in them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from pneumocascade import Cascade, Prediction
from pneumocascade.model.store import Manifest, read_manifest
from pneumocascade.types import Acquisition, Radiograph
from tests.conftest import draw_chest
from tests.tiny_models import PNEUMONIA_FROM, VIRAL_FROM, write_tiny_models

PLANTED = "QuixoteXK"
"""Occurs in everything that ``planted`` puts into an object, and nowhere else."""

MEANS = {"normal": PNEUMONIA_FROM - 25, "bacterial": PNEUMONIA_FROM + 25, "viral": VIRAL_FROM + 20}
"""Mean grey value of a film that the tiny models give this answer."""

REFUSED_MEAN = 225.0


def film_of(mean: float) -> NDArray[np.uint8]:
    """Return a chest-like film with a given mean grey value, shape (240, 300)."""
    film = draw_chest(height=240, width=300).astype(np.float32)
    film = (film - film.mean()) * 0.15 + mean
    return np.asarray(np.clip(film, 0, 255), np.uint8)


def minimal_object(pixels: NDArray[np.uint8], sop_class: str = ComputedRadiographyImageStorage) -> Dataset:
    """Return an object with what is needed to show it and to refer to it, and nothing else."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = sop_class
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        setattr(made, keyword, generate_uid())
    made.Rows, made.Columns = pixels.shape
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 0
    made.BitsAllocated, made.BitsStored, made.HighBit = 8, 8, 7
    made.PixelData = pixels.tobytes()
    return made


def film_object(pixels: NDArray[np.uint8], kind: str = "CR", **attributes: Any) -> Dataset:
    """Return a whole CR, DX, SC or multi-frame SC (MF) object; ``attributes`` are set last."""
    classes = {
        "CR": ComputedRadiographyImageStorage,
        "DX": DigitalXRayImageStorageForPresentation,
        "SC": SecondaryCaptureImageStorage,
        "MF": MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    }
    made = minimal_object(pixels, classes[kind])
    _add_patient(made)
    made.Modality = "OT" if kind in ("SC", "MF") else kind
    made.Manufacturer, made.SeriesNumber, made.InstanceNumber = "Maker", 1, 1
    made.PatientOrientation = ["L", "F"]
    made.SpecificCharacterSet = "ISO_IR 100"
    if kind in ("SC", "MF"):
        made.ConversionType = "DF"
    else:
        made.BodyPartExamined, made.ViewPosition = "CHEST", "AP"
    if kind == "DX":
        _add_digital(made)
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def _add_patient(made: Dataset) -> None:
    made.PatientName, made.PatientID = "Doe^Jane", "4711"
    made.PatientBirthDate, made.PatientSex = "20200305", "F"
    made.StudyDate, made.StudyTime = "20240102", "101112"
    made.AccessionNumber, made.StudyID, made.ReferringPhysicianName = "A1", "S1", "Roe^Richard"


def _add_digital(made: Dataset) -> None:
    """Add what the modules of DX want besides (PS3.3, A.26)."""
    made.PresentationIntentType = "FOR PRESENTATION"
    made.ImageType = ["ORIGINAL", "PRIMARY", ""]
    made.ImageLaterality = "U"
    made.AcquisitionDate, made.AcquisitionTime = "20240102", "101112"
    made.ContentDate, made.ContentTime = "20240102", "101113"
    made.ImagerPixelSpacing = ["0.15", "0.15"]
    made.PixelIntensityRelationship, made.PixelIntensityRelationshipSign = "LOG", -1
    made.RescaleIntercept, made.RescaleSlope, made.RescaleType = "0", "1", "US"
    made.PresentationLUTShape, made.LossyImageCompression = "IDENTITY", "00"
    made.BurnedInAnnotation, made.DetectorType = "NO", "DIRECT"
    made.WindowCenter, made.WindowWidth = "128", "256"
    made.AnatomicRegionSequence = [code_item(codes.SCT.Chest)]
    made.ViewCodeSequence = [code_item(codes.SCT.AnteroPosterior)]
    made.ViewCodeSequence[0].ViewModifierCodeSequence = []
    made.PositionerType, made.AcquisitionContextSequence = "NONE", []


def code_item(code: Any) -> Dataset:
    """Return a code as the item of a sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = (
        code.value,
        code.scheme_designator,
        code.meaning,
    )
    return item


def planted(pixels: NDArray[np.uint8]) -> Dataset:
    """Return a DX object with ``PLANTED`` in all kinds of places."""
    made = film_object(pixels, "DX", PatientName=f"{PLANTED}^Don", PatientID=PLANTED)
    made.OtherPatientIDs = [PLANTED, f"{PLANTED}2"]
    made.PatientComments = made.ImageComments = made.StudyDescription = f"about {PLANTED}"
    made.ReferringPhysicianName = made.OperatorsName = f"{PLANTED}^Dr"
    made.AccessionNumber = made.StudyID = made.DeviceSerialNumber = PLANTED
    made.InstitutionName = made.SeriesDescription = made.PatientAddress = PLANTED
    other = Dataset()
    other.PatientID, other.TypeOfPatientID = PLANTED, "TEXT"
    made.OtherPatientIDsSequence = [other]
    request = Dataset()
    request.RequestedProcedureDescription = f"chest of {PLANTED}"
    request.add_new(0x00091001, "LO", PLANTED)
    inner = Dataset()
    inner.PatientName = f"{PLANTED}^Inner"
    request.add_new("ScheduledProtocolCodeSequence", "SQ", [inner])
    made.RequestAttributesSequence = [request]
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = made.SOPClassUID, generate_uid()
    reference.PatientName = f"{PLANTED}^Deep"
    made.SourceImageSequence = [reference]
    block = made.private_block(0x0009, f"{PLANTED} MAKER", create=True)
    block.add_new(0x01, "LO", PLANTED)
    made.add_new(0x60004000, "LT", f"overlay of {PLANTED}")
    made.add_new(0x00100099, "LO", PLANTED)  # in a group of the standard, but not in its dictionary
    made.file_meta.SourceApplicationEntityTitle = PLANTED
    made.preamble = PLANTED.encode().ljust(128, b"\0")
    return made


def radiograph_of(source: Dataset) -> Radiograph:
    """Return the film of an object of 8 bits, without the code that reads DICOM."""
    acquisition = Acquisition(source.get("Modality", ""), sop_instance_uid=source.SOPInstanceUID)
    pixels = np.frombuffer(source.PixelData, np.uint8).reshape(source.Rows, source.Columns)
    return Radiograph(pixels, "film.dcm", acquisition=acquisition)


def saved(dataset: Dataset) -> bytes:
    """Return an object as the bytes of its file."""
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def read_back(dataset: Dataset) -> Dataset:
    """Write an object and read it."""
    return pydicom.dcmread(io.BytesIO(saved(dataset)))


@dataclass(frozen=True)
class Tiny:
    """The tiny models with their gate, and their manifest."""

    cascade: Cascade
    models: Manifest

    def answer(self, mean: float, point: str = "balanced") -> Prediction:
        """Judge the film of a mean grey value."""
        return self.cascade.predict(film_of(mean), operating_point=point, name="film.dcm")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """See ``Tiny``; import it into a test module to use it."""
    folder = write_tiny_models(tmp_path_factory.mktemp("tiny"), gate=True)
    return Tiny(Cascade.load(folder, threads=1), read_manifest(folder))
