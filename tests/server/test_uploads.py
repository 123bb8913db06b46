"""Films of uploads: how far archives are looked into, and what is no damaged film."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from pneumocascade.imaging.dicom import dicomdir
from pneumocascade.server import uploads
from pneumocascade.server.uploads import MAX_DIRECTORY_BYTES, MAX_OTHER_OBJECTS, films_of
from tests.reports.sources import film_object, film_of, saved


def archive_of(members: Mapping[str, bytes], comment: bytes = b"") -> UploadFile:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.comment = comment
    return UploadFile(stream, filename="study.zip")


def report_of(empty_elements: int = 0) -> bytes:
    """Return a structured report, with so many empty private elements."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = ComprehensiveSRStorage, "2.25.1"
    for number in range(empty_elements):
        made.add_new(0x00111000 + number, "LO", "")
    return saved(made)


def test_a_closed_upload_is_not_a_damaged_film() -> None:
    file = archive_of({"a.png": b"content"})
    films, left_out = films_of([file], 10)
    assert ([film.name for film in films], left_out) == (["study.zip/a.png"], 0)
    assert films[0].read() == b"content"
    file.file.close()
    with pytest.raises(ValueError, match="closed"):
        films[0].read()


def test_objects_without_a_picture_are_counted_up_to_a_bound_in_all_archives() -> None:
    report, film = report_of(), saved(film_object(film_of(120)))
    full = {f"{number}": report for number in range(MAX_OTHER_OBJECTS)}
    films, left_out = films_of([archive_of({**full, "film": film})], 10)
    assert ([each.name for each in films], left_out) == (["study.zip/film"], MAX_OTHER_OBJECTS)
    with pytest.raises(HTTPException) as caught:
        films_of([archive_of(full), archive_of({"one more": report, "film": film})], 10)
    assert caught.value.status_code == 413


def test_of_a_long_header_no_more_is_read_than_tells_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[int] = []
    original = dicomdir.is_image_object

    def is_image_object(data: bytes) -> bool:
        looked_at.append(len(data))
        return original(data)

    monkeypatch.setattr(dicomdir, "is_image_object", is_image_object)
    assert films_of([archive_of({"long": report_of(40_000), "short": report_of()})], 10).left_out == 2
    assert looked_at[0] == 1 << 16 > looked_at[1]


@pytest.mark.parametrize("comment", [b"", b"c" * 0xFFFF])
@pytest.mark.parametrize("zip64", [False, True])
def test_the_size_of_the_directory_is_the_one_that_zipfile_reads(
    comment: bytes, zip64: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if zip64:
        monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    file = archive_of({f"{number}.png": b"" for number in range(5)}, comment)
    file.file.seek(0)
    content = file.file.read()
    assert (b"PK\x06\x06" in content) is zip64
    if zip64:  # as many programs write it
        file.file.seek(content.rindex(b"PK\x05\x06") + 12)
        file.file.write(b"\xff" * 4)
    end_record = zipfile._EndRecData(file.file)  # type: ignore[attr-defined]
    assert uploads._directory_bytes(file.file) == end_record[5] > 5 * 46
    assert len(films_of([file], 10).films) == 5


def test_a_record_that_holds_its_own_signature_hides_no_directory() -> None:
    record = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, MAX_DIRECTORY_BYTES, 0x06054B50, 0)
    file = UploadFile(io.BytesIO(b"PK\x03\x04" + b"\0" * 100 + record))
    assert uploads._directory_bytes(file.file) == MAX_DIRECTORY_BYTES
    assert zipfile._EndRecData(file.file)[5] == MAX_DIRECTORY_BYTES  # type: ignore[attr-defined]


def test_directories_of_all_archives_are_read_up_to_a_bound() -> None:
    names = [f"{number:060000}" for number in range(MAX_DIRECTORY_BYTES // 60_000 // 2)]
    file = archive_of(dict.fromkeys(names, b""))
    assert len(films_of([file], 10).films) == 1, "what holds no film is judged as one"
    with pytest.raises(HTTPException) as caught:
        films_of([file, file, file], 10)
    assert caught.value.status_code == 413
