"""Small data sets in the layouts of the published ones, made by code."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, FileMetaDataset, uid

NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)
"""First line of ``Data_Entry_2017.csv`` as it is published, commas in brackets and at the end included."""

CHEXPERT_HEADER = (
    "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,"
    "Lung Lesion,Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,"
    "Fracture,Support Devices"
)

VINDR_PCXR_HEADER = (
    "image_id,rad_ID,No finding,Bronchitis,Brocho-pneumonia,Other disease,Bronchiolitis,Situs inversus,"
    "Pneumonia,Pleuro-pneumonia,Diagphramatic hernia,Tuberculosis,Congenital emphysema,CPAM,"
    "Hyaline membrane disease,Mediastinal tumor,Lung tumor"
)
"""Columns of ``image_labels_train.csv``; the spelling is theirs."""


def pixels_of(seed: int) -> NDArray[np.uint8]:
    """Return a picture, shape (64, 64), that no other seed gives."""
    return np.random.default_rng(seed).integers(0, 256, (64, 64)).astype(np.uint8)


def write_film(path: Path, pixels: NDArray[np.uint8] | None = None) -> Path:
    """Write a film by its suffix: JPEG, PNG or DICOM (``.dcm``, ``.dicom``, or none with a Patient ID)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = pixels_of(len(str(path)) + sum(map(ord, path.name))) if pixels is None else pixels
    if path.suffix in (".dcm", ".dicom"):
        return write_dicom(path, path.stem, pixels)
    Image.fromarray(pixels).save(path)
    return path


def write_dicom(path: Path, patient: str, pixels: NDArray[np.uint8] | None = None, issuer: str = "") -> Path:
    """Write a film as a DICOM object."""
    pixels = pixels_of(sum(map(ord, path.name))) if pixels is None else pixels
    item = Dataset()
    item.file_meta = FileMetaDataset()
    item.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    item.SOPClassUID = uid.ComputedRadiographyImageStorage
    item.SOPInstanceUID = uid.generate_uid(entropy_srcs=[str(path)])
    item.StudyInstanceUID = uid.generate_uid(entropy_srcs=["study", str(path)])
    item.SeriesInstanceUID = uid.generate_uid(entropy_srcs=["series", str(path)])
    item.PatientID, item.Modality = patient, "CR"
    if issuer:
        item.IssuerOfPatientID = issuer
    item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
    item.Rows, item.Columns = pixels.shape
    item.BitsAllocated, item.BitsStored, item.HighBit, item.PixelRepresentation = 8, 8, 7, 0
    item.PixelData = pixels.tobytes()
    item["PixelData"].VR = "OB"
    stream = io.BytesIO()
    item.save_as(stream, enforce_file_format=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(stream.getvalue())
    return path


def write_table(path: Path, header: str, rows: Sequence[Sequence[object]]) -> Path:
    """Write a CSV file with a first line as it is given."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{header}\n{stream.getvalue()}", encoding="utf-8")
    return path


def kermany(root: Path) -> Path:
    """Chest X-Ray Images (Pneumonia): classes in folders, aetiology and patient in names."""
    for name in (
        "train/NORMAL/IM-0001-0001.jpeg",
        "train/NORMAL/NORMAL2-IM-0002-0001.jpeg",
        "train/PNEUMONIA/person1_bacteria_1.jpeg",
        "train/PNEUMONIA/person1_bacteria_2.jpeg",
        "val/PNEUMONIA/person2_virus_3.jpeg",
        "test/NORMAL/IM-0003-0001.jpeg",
    ):
        write_film(root / name)
    (root / "train" / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    return root


def nih(root: Path) -> Path:
    """NIH ChestX-ray14: films in numbered folders, labels in one table by file name."""
    rows = []
    for number, (name, labels) in enumerate(
        (
            ("00000001_000.png", "No Finding"),
            ("00000001_001.png", "Pneumonia"),
            ("00000002_000.png", "Infiltration|Pneumonia"),
            ("00000003_000.png", "Effusion"),
            ("00000004_000.png", "No Finding"),
        )
    ):
        rows.append([name, labels, 0, int(name[:8]), 58, "M", "PA", 2682, 2749, 0.143, 0.143, ""])
        write_film(root / f"images_{1 + number // 3:03}" / "images" / name)
    write_table(root / "Data_Entry_2017.csv", NIH_HEADER, rows)
    return root


def rsna(root: Path) -> Path:
    """RSNA Pneumonia Detection Challenge: DICOM, a row a box, test films without labels."""
    first, second, third = (f"{number:08x}-b7cd-44a6-9d5a-34a6b1f6f8a0" for number in (1, 2, 3))
    rows = [
        [first, "", "", "", "", 0],
        [second, 264.0, 152.0, 213.0, 379.0, 1],
        [second, 562.0, 152.0, 256.0, 453.0, 1],
        [third, 323.0, 577.0, 160.0, 104.0, 1],
    ]
    for name in (first, second, third):
        write_film(root / "stage_2_train_images" / f"{name}.dcm")
    write_film(root / "stage_2_test_images" / "00000009-b7cd-44a6-9d5a-34a6b1f6f8a0.dcm")
    write_table(root / "stage_2_train_labels.csv", "patientId,x,y,width,height,Target", rows)
    classes = ["Normal", "Lung Opacity", "Lung Opacity", "No Lung Opacity / Not Normal"]
    write_table(
        root / "stage_2_detailed_class_info.csv",
        "patientId,class",
        [[row[0], kind] for row, kind in zip(rows, classes, strict=True)],
    )
    return root


def chexpert(root: Path) -> Path:
    """CheXpert: paths begin with the folder's own name, every film is called alike; 1, 0, -1 or blank."""
    rows = []
    for patient, none, pneumonia in (
        (1, "1.0", ""),
        (2, "", "1.0"),
        (3, "", "0.0"),
        (4, "", "-1.0"),
        (5, "", ""),
    ):
        path = f"train/patient{patient:05}/study1/view1_frontal.jpg"
        write_film(root / path)
        findings = [none, *[""] * 6, pneumonia, *[""] * 6]
        rows.append([f"CheXpert-v1.0-small/{path}", "Female", 68, "Frontal", "AP", *findings])
    write_table(root / "train.csv", CHEXPERT_HEADER, rows)
    return root


def vindr_pcxr(root: Path) -> Path:
    """VinDr-PCXR: DICOM by image number, a column of 1 and 0 for each disease."""
    diseases = VINDR_PCXR_HEADER.split(",")[2:]
    rows = []
    for number, disease in enumerate(("No finding", "Pneumonia", "Brocho-pneumonia", "Bronchitis")):
        image = f"{number:032x}"
        write_film(root / "train" / f"{image}.dicom")
        rows.append([image, "R1", *(float(disease == each) for each in diseases)])
    write_table(root / "image_labels_train.csv", VINDR_PCXR_HEADER, rows)
    return root
