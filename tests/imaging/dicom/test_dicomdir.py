"""DICOMDIRs and objects of other kinds."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, FileMetaDataset, uid
from pydicom.fileset import FileSet

from pneumocascade.errors import FileAccessError, UnreadableImageError
from pneumocascade.imaging.dicom.dicomdir import count_frames, files_of_dicomdir, is_image_object
from tests.imaging.dicom.objects import DEEP, GREY, code_of, dataset, film_of, report, sequence, to_bytes


def written_study(folder: Path) -> tuple[Path, list[Path]]:
    """Return the DICOMDIR of a study of two films and a report, by pydicom, and the films' paths."""
    files = FileSet()
    files.UID = uid.UID("2.25.1")  # the same bytes each time: a random one's length moves every offset
    for number, item in enumerate((dataset(GREY, 8), dataset(DEEP), report())):
        item.SOPInstanceUID = uid.generate_uid(entropy_srcs=[str(number)])
        item.file_meta.MediaStorageSOPInstanceUID = item.SOPInstanceUID
        item.file_meta.MediaStorageSOPClassUID = item.SOPClassUID
        item.StudyDate, item.StudyTime, item.StudyID, item.AccessionNumber = "20240101", "1200", "1", ""
        item.SeriesNumber, item.InstanceNumber = 1 + (number == 2), number
        item.CompletionFlag, item.VerificationFlag = "COMPLETE", "UNVERIFIED"
        item.ContentDate, item.ContentTime = "20240101", "1200"
        item.ConceptNameCodeSequence = sequence(Dataset())
        files.add(item)
    files.write(folder)
    films = [Path(each.path) for each in files if each.SOPClassUID != uid.BasicTextSRStorage]
    files._stage["t"].cleanup()  # pydicom leaves it to the garbage collector, which warns
    return folder / "DICOMDIR", films


def test_a_dicomdir_lists_its_films(tmp_path: Path) -> None:
    path, films = written_study(tmp_path)
    listing = files_of_dicomdir(path)
    assert {each.resolve() for each in listing.images} == {each.resolve() for each in films}
    assert (listing.outside, listing.others) == ((), 1)
    assert not is_image_object(path)
    assert code_of(path.read_bytes()) == "no_pixels"
    for each in listing.images:
        assert film_of(each.read_bytes()).pixels.shape == GREY.shape


def test_a_missing_film_is_listed_all_the_same(tmp_path: Path) -> None:
    path, films = written_study(tmp_path)
    films[0].unlink()
    listing = files_of_dicomdir(path)
    assert len(listing.images) == 2
    assert [each.exists() for each in listing.images].count(False) == 1


def dicomdir(folder: Path, *file_ids: list[str] | str, flag: int = 0xFFFF) -> Path:
    """Return a DICOMDIR of image records with the given file IDs."""
    records = []
    for file_id in file_ids:
        record = Dataset()
        record.RecordInUseFlag, record.DirectoryRecordType = flag, "IMAGE"
        record.add_new("ReferencedFileID", "CS", "")
        record["ReferencedFileID"]._value = file_id
        records.append(record)
    item = Dataset()
    item.file_meta = FileMetaDataset()
    item.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    item.SOPClassUID, item.SOPInstanceUID = uid.MediaStorageDirectoryStorage, uid.generate_uid()
    item.DirectoryRecordSequence = sequence(*records)
    (folder / "DICOMDIR").write_bytes(to_bytes(item))
    return folder / "DICOMDIR"


def test_a_file_id_cannot_leave_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "disc"
    folder.mkdir()
    (tmp_path / "SECRET").write_bytes(to_bytes(dataset(GREY, 8)))
    (folder / "LINK").symlink_to(tmp_path / "SECRET")
    (folder / "FILM").write_bytes(to_bytes(dataset(GREY, 8)))
    outside: list[list[str] | str] = [
        ["..", "SECRET"],
        "../SECRET",
        ["A", "..", "..", "SECRET"],
        "/etc/passwd",
        "LINK",
    ]
    listing = files_of_dicomdir(dicomdir(folder, *outside, "FILM"))
    assert listing.images == (folder / "FILM",)
    assert len(listing.outside) == len(outside)


def test_names_are_found_however_they_are_spelt(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "im000001").write_bytes(to_bytes(dataset(GREY, 8)))
    listing = files_of_dicomdir(dicomdir(tmp_path, ["IMAGES", "IM000001"], ["IMAGES", "IM000001"]))
    assert listing.images == (tmp_path / "images" / "im000001",)


def test_records_out_of_use_are_left_out(tmp_path: Path) -> None:
    assert files_of_dicomdir(dicomdir(tmp_path, "FILM", flag=0)).images == ()


def test_what_is_no_dicomdir_is_said(tmp_path: Path) -> None:
    (tmp_path / "film.dcm").write_bytes(to_bytes(dataset(GREY, 8)))
    (tmp_path / "other").write_bytes(b"nothing")
    for name in ("film.dcm", "other"):
        with pytest.raises(UnreadableImageError):
            files_of_dicomdir(tmp_path / name)
    with pytest.raises(FileAccessError):
        files_of_dicomdir(tmp_path / "DICOMDIR")


@pytest.mark.parametrize(
    "syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.DeflatedExplicitVRLittleEndian]
)
def test_objects_with_and_without_a_picture(syntax: uid.UID, tmp_path: Path) -> None:
    for item, image in ((dataset(DEEP), True), (report(), False)):
        data = to_bytes(item, syntax)
        (tmp_path / "object").write_bytes(data)
        assert is_image_object(data) == image
        assert is_image_object(tmp_path / "object") == image


def test_only_the_head_of_a_file_is_read(tmp_path: Path) -> None:
    """A film without its pixels is an image object; reading it says that it was cut."""
    whole = to_bytes(dataset(DEEP))
    cut = whole[: whole.index(b"\xe0\x7f\x10\x00")]
    assert is_image_object(cut)
    assert code_of(cut) == "truncated_image"


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.9])
def test_a_damaged_film_still_counts_as_one(share: float) -> None:
    whole = to_bytes(dataset(DEEP))
    header = whole[: whole.index(b"\xe0\x7f\x10\x00")]
    assert is_image_object(header[: max(140, int(share * len(header)))])


def test_a_file_that_may_not_be_opened_raises(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        is_image_object(tmp_path / "missing")
    assert stat.S_ISDIR(tmp_path.stat().st_mode)
    with pytest.raises(OSError, match="directory"):
        is_image_object(tmp_path)


@pytest.mark.parametrize("vr", ["FL", "US", "SL", "FD", "OB", "UN"])
def test_a_record_whose_file_id_is_a_number_is_passed_over(vr: str, tmp_path: Path) -> None:
    path = dicomdir(tmp_path, "FILM")
    data = path.read_bytes()
    at = data.index(b"\x04\x00\x00\x15CS") + 4
    path.write_bytes(data[:at] + vr.encode() + data[at + 2 :])
    try:
        assert all(tmp_path in each.parents for each in files_of_dicomdir(path).images)
    except UnreadableImageError as error:
        assert error.code == "unreadable_image"


@pytest.mark.parametrize("syntax", [None, uid.ImplicitVRLittleEndian, uid.DeflatedExplicitVRLittleEndian])
def test_frames_are_counted(syntax: uid.UID | None) -> None:
    assert count_frames(to_bytes(dataset(DEEP), syntax)) == 1
    black = np.zeros((40, *DEEP.shape), np.uint16)  # deflated, they are far shorter than one frame
    assert count_frames(to_bytes(dataset(black), syntax)) == 40
    assert count_frames(to_bytes(report())) == 1


def test_frames_that_cannot_be_there_are_not_counted() -> None:
    for frames in (3, 2**31 - 1):
        assert count_frames(to_bytes(dataset(np.stack([DEEP, DEEP]), NumberOfFrames=frames))) == 1
    item = dataset(DEEP, NumberOfFrames=2**31 - 1)
    assert count_frames(to_bytes(item, uid.DeflatedExplicitVRLittleEndian)) == 1


def test_a_number_of_frames_that_is_none_has_a_code() -> None:
    data = to_bytes(dataset(DEEP, NumberOfFrames=11))
    with pytest.raises(UnreadableImageError) as caught:
        count_frames(data.replace(b"IS\x02\x0011", b"IS\x02\x00a."))
    assert caught.value.code == "unreadable_image"
