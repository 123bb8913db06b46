"""Bodies of several parts are read the same however they are cut, and refused where they are not whole."""

from __future__ import annotations

import pytest
from starlette.exceptions import HTTPException

from pneumocascade.node.dicomweb import multipart
from pneumocascade.node.dicomweb.multipart import MultipartReader, media_type_of, multipart_body

BODY = (
    b"ignored\r\n--b\r\nContent-Type: Application/DICOM; x=1\r\nX: y\r\n\r\nfirst\r\n--b-no\r\n\r\n"
    b"--b\r\n\r\n\r\n--b--\r\nignored --b"
)


class Parts:
    """The parts that were told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, bytes]] = []
        self.ended = 0

    def begin(self, media_type: str) -> None:
        self.told.append((media_type, b""))

    def data(self, piece: memoryview) -> None:
        kind, content = self.told[-1]
        self.told[-1] = (kind, content + piece)

    def end(self) -> None:
        self.ended += 1


def read(body: bytes, step: int, boundary: str = "b") -> Parts:
    parts = Parts()
    reader = MultipartReader(boundary, parts)
    for start in range(0, len(body), step):
        reader.feed(body[start : start + step])
    reader.close()
    return parts


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_a_body_is_read_the_same_however_it_is_cut(step: int) -> None:
    parts = read(BODY, step)
    assert parts.told == [("application/dicom", b"first\r\n--b-no\r\n"), ("", b"")]
    assert parts.ended == 2


def test_what_is_written_is_read_back() -> None:
    body = b"".join(multipart_body([[b"one", b"\r\n--"], [b"\0" * 99]], "application/dicom", "b"))
    assert [content for _, content in read(body, 10).told] == [b"one\r\n--", b"\0" * 99]


@pytest.mark.parametrize("step", [1, 1000])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--other\r\n\r\nx\r\n--other--",
        b"x" * 10_000,
        BODY[:40],
        BODY[:-20],
        b"--b--",
        b"--bX\r\n\r\n",
        b"--b\r\nno colon\r\n\r\nx\r\n--b--",
        b"--b\r\n" + b"A" * 100_000,
        b"--b\r\nContent-Type: " + b"A" * 100_000,
        b"--b\r\n" + b"a: b\r\n" * 1000 + b"\r\nx\r\n--b--",
    ],
)
def test_what_is_no_whole_body_is_refused(body: bytes, step: int) -> None:
    with pytest.raises(HTTPException) as caught:
        read(body, step)
    assert caught.value.status_code == 400


def test_more_parts_than_may_be_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "MAX_PARTS", 3)
    with pytest.raises(HTTPException) as caught:
        read(b"--b\r\n\r\nx\r\n" * 4 + b"--b--", 5)
    assert caught.value.status_code == 413


@pytest.mark.parametrize("boundary", ["", "x" * 201, "a\r\nb", "ä"])
def test_a_boundary_that_is_none_is_refused(boundary: str) -> None:
    with pytest.raises(HTTPException):
        MultipartReader(boundary, Parts())


def test_a_media_type_is_read_with_its_parameters() -> None:
    kind, parameters = media_type_of('Multipart/Related; Type="application/dicom"; boundary="a;b"')
    assert (kind, parameters) == ("multipart/related", {"type": "application/dicom", "boundary": "a;b"})
