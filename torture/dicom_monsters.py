"""DICOM objects made to exhaust or to mislead who reads them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial
from typing import Any

from pydicom import uid
from pydicom.datadict import dictionary_VR, tag_for_keyword

from pneumocascade.imaging.dicom.quiet import quiet
from tests.imaging.dicom.encoders import with_codestreams
from tests.imaging.dicom.objects import dataset, to_bytes
from tests.imaging.film_files import encode
from torture.monsters import CLAIM, SIDE, Maker, scans_without_end
from torture.seeds import DEEP, GREY, RGB
from torture.writers import zeros

_NUMBERS = ("NaN", "inf", "-inf", "1e400", "-0", "1e-400", "", " ", "a", "1\\" * 9, "9" * 16)

_DEPTHS = (100, 900, 5_000, 100_000)

_PIXELS = b"\xe0\x7f\x10\x00"
"""Tag of Pixel Data."""

_ITEM, _ITEM_END, _SEQUENCE_END = (
    b"\xfe\xff\x00\xe0",
    b"\xfe\xff\x0d\xe0" + bytes(4),
    b"\xfe\xff\xdd\xe0" + bytes(4),
)


def dicom_monsters() -> Iterator[tuple[str, Maker]]:
    """Yield the objects by name; each is made when it is asked for."""
    yield from _deep()
    yield from _claims()
    yield from _values()
    yield from _long()
    yield from _compressed()


def _deep() -> Iterator[tuple[str, Maker]]:
    for depth in _DEPTHS:
        for implicit in (False, True):
            for closed in (False, True):
                name = f"dicom {depth} sequences deep, implicit {implicit}, closed {closed}"
                yield name, partial(_nested, depth, implicit=implicit, closed=closed)
    yield "dicom 3,000 sequences of known length", partial(_nested_lengths, 3_000)


def _nested(depth: int, *, implicit: bool, closed: bool) -> bytes:
    """Return an object with sequences of unknown length in one another (DICOM PS3.5, 7.5)."""
    whole = to_bytes(dataset(GREY, 8), uid.ImplicitVRLittleEndian if implicit else uid.ExplicitVRLittleEndian)
    start = b"\x40\x00\x75\x02" + (b"" if implicit else b"SQ\0\0") + b"\xff" * 4 + _ITEM + b"\xff" * 4
    end = _ITEM_END + _SEQUENCE_END if closed else b""
    return _with_elements(whole, start * depth + end * depth)


def _nested_lengths(depth: int) -> bytes:
    inner = b""
    for _ in range(depth):
        item = _ITEM + struct.pack("<I", len(inner)) + inner
        inner = b"\x40\x00\x75\x02SQ\0\0" + struct.pack("<I", len(item)) + item
    return _with_elements(to_bytes(dataset(GREY, 8)), inner)


def _made(**attributes: Any) -> bytes:
    with quiet():  # pydicom warns of what is wrong on purpose here
        return to_bytes(dataset(DEEP, **attributes))


def _claims() -> Iterator[tuple[str, Maker]]:
    for rows, columns in ((CLAIM, CLAIM), (0, 64), (65_535, 1_350), (SIDE, SIDE), (1, 1)):
        yield f"dicom claims {columns} x {rows}", partial(_made, Rows=rows, Columns=columns)
    for frames in (0, -1, 2**31 - 1, 10_000_000):
        yield f"dicom claims {frames} frames", partial(_made, NumberOfFrames=frames)
    for allocated, stored, high in ((1, 1, 0), (32, 32, 31), (16, 0, 0), (16, 16, 60_000), (8, 12, 11)):
        attributes = {"BitsAllocated": allocated, "BitsStored": stored, "HighBit": high}
        yield f"dicom bits {allocated}, {stored}, {high}", partial(_made, **attributes)
    for kind in ("RGB", "PALETTE COLOR", "YBR_FULL_422", "YBR_RCT", "HSV", "", "<b>"):
        yield f"dicom photometric {kind}", partial(_made, PhotometricInterpretation=kind)
        yield f"dicom 3 samples {kind}", partial(_made, PhotometricInterpretation=kind, SamplesPerPixel=3)
    for length in (0, 1, 2**31, 2**32 - 2):
        yield f"dicom pixels of {length} bytes", partial(_pixels_of, length)
    for limit in (1 << 20, 1 << 28, 1 << 30, 3 << 30):
        yield f"dicom deflated bomb of {limit} bytes", partial(_deflated, limit)
    for bits, kind in ((8, "grey"), (16, "grey"), (8, "colour"), (16, "colour")):
        yield f"dicom {bits} bit {kind} of 88 million", partial(_large, bits, kind)


def _pixels_of(length: int) -> bytes:
    whole = to_bytes(dataset(GREY, 8))
    at = whole.index(_PIXELS) + 8
    return whole[:at] + struct.pack("<I", length) + whole[at + 4 :]


def _deflated(length: int) -> bytes:
    """Return a deflated object whose data set is ``length`` zeros (DICOM PS3.5, A.5)."""
    whole = to_bytes(dataset(GREY, 8), uid.DeflatedExplicitVRLittleEndian)
    (group,) = struct.unpack_from("<I", whole, 140)
    start = (
        b"\x08\x00\x60\x00CS\x02\x00DX"
        + b"\x09\x00\x10\x10OB\0\0"
        + struct.pack("<I", min(length, 2**32 - 2))
    )
    return whole[: 144 + group] + _deflate_with(start, length)


def _deflate_with(start: bytes, length: int, last: bytes = b"") -> bytes:
    """Return ``start`` in a stored block (RFC 1951, 3.2.4), and zeros and ``last`` behind it."""
    stored = b"\0" + struct.pack("<HH", len(start), len(start) ^ 0xFFFF) + start
    return stored + zeros(length, raw=True, last=last)


def _large(bits: int, kind: str) -> bytes:
    """Return a deflated film of the largest size."""
    item = dataset(RGB if kind == "colour" else GREY, 8)
    item.BitsAllocated, item.BitsStored, item.HighBit = bits, bits, bits - 1
    item.Rows = item.Columns = SIDE
    length = SIDE * SIDE * bits // 8 * item.SamplesPerPixel
    del item.PixelData
    head = to_bytes(item)
    (group,) = struct.unpack_from("<I", head, 140)
    body = head[144 + group :] + _PIXELS + b"OW\0\0" + struct.pack("<I", length)
    meta = to_bytes(dataset(GREY, 8), uid.DeflatedExplicitVRLittleEndian)
    (group,) = struct.unpack_from("<I", meta, 140)
    return meta[: 144 + group] + _deflate_with(body, length - 2, last=b"\x10\x70")


def _values() -> Iterator[tuple[str, Maker]]:
    for keyword in ("WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept"):
        for text in _NUMBERS:
            yield f"dicom {keyword} is {text!r}", partial(_with_text, keyword, text)
    for keyword in ("ImagerPixelSpacing", "SpecificCharacterSet", "PatientName", "BodyPartExamined"):
        for text in ("\\" * 4_000, "ISO 2022 IR 87\\ISO 2022 IR 149", "\x1b$B<script>", "a" * 8_000):
            yield f"dicom {keyword} is {text[:9]!r}", partial(_with_text, keyword, text)
    for padding in (-32_768, 0, 65_535):
        attributes = {"PixelPaddingValue": padding % 65_536, "PixelPaddingRangeLimit": 65_535}
        yield f"dicom padding {padding}", partial(_made, **attributes)


def _with_text(keyword: str, text: str) -> bytes:
    """Return an object with a value as it is, which pydicom would not write."""
    item = dataset(DEEP, WindowCenter=2048, WindowWidth=4096)
    if keyword in item:
        delattr(item, keyword)
    tag = tag_for_keyword(keyword)
    assert tag is not None
    value = text.encode("latin-1") + b" " * (len(text) % 2)
    start = struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, dictionary_VR(tag).encode(), len(value))
    return _with_elements(to_bytes(item), start + value)


def _with_elements(whole: bytes, added: bytes) -> bytes:
    """Put elements before the pixels; readers do not mind their order."""
    at = whole.index(_PIXELS)
    return whole[:at] + added + whole[at:]


def _long() -> Iterator[tuple[str, Maker]]:
    yield "dicom window of 100,000 values", lambda: _lengthy(100_000)
    yield "dicom 300,000 private elements", lambda: _elements(300_000)
    yield "dicom 100,000 items", lambda: _items(100_000)
    yield (
        "dicom meta without end",
        lambda: to_bytes(dataset(GREY, 8))[:132] + b"\x02\x00\x00\x00UL\x04\0\xff\xff\xff\xff" * 99_999,
    )


def _lengthy(count: int) -> bytes:
    """Return an object with a window of many values, in implicit VR: explicit VR has too short a length."""
    item = dataset(DEEP)
    item.add_new(0x00281050, "DS", ["1.5"] * count)
    return to_bytes(item, uid.ImplicitVRLittleEndian)


def _elements(count: int) -> bytes:
    added = b"".join(
        struct.pack("<HH2sH", 0x0029 + 2 * (n >> 16), n & 0xFFFF, b"LO", 0) for n in range(count)
    )
    return _with_elements(to_bytes(dataset(GREY, 8)), added)


def _items(count: int) -> bytes:
    body = (_ITEM + bytes(4)) * count
    start = b"\x28\x00\x10\x30SQ\0\0" + struct.pack("<I", len(body))
    return _with_elements(to_bytes(dataset(GREY, 8)), start + body)


def _compressed() -> Iterator[tuple[str, Maker]]:
    jpeg = encode(GREY, "JPEG")
    for syntax in (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLosslessSV1, uid.JPEG2000, uid.HTJ2K,
                   uid.JPEGLSLossless, uid.RLELossless, uid.MPEG2MPML, uid.JPIPHTJ2KReferenced):  # fmt: skip
        for name, streams in (
            ("two bytes", [b"\0\0"]),
            ("a jpeg", [jpeg]),
            ("20,000 frames", [b"\0\0"] * 20_000),
        ):
            yield f"dicom {syntax.name}: {name}", partial(_with_streams, syntax, streams)
    for syntax in (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit):
        for side in (512, 4_096, SIDE):
            yield f"dicom {syntax.name}: scans without end, {side}", partial(_scans, syntax, side)
    for rows, columns in ((SIDE, SIDE), (65_535, 1_300)):
        for syntax in (uid.RLELossless, uid.JPEGBaseline8Bit, uid.JPEGLSLossless, uid.JPEG2000Lossless):
            yield f"dicom {syntax.name}: claims {columns} x {rows}", partial(_claimed, syntax, rows, columns)


def _with_streams(syntax: uid.UID, streams: list[bytes]) -> bytes:
    return with_codestreams(dataset(GREY, 8, NumberOfFrames=1), syntax, *streams)


def _scans(syntax: uid.UID, side: int) -> bytes:
    item = dataset(GREY, 8)
    item.Rows = item.Columns = side
    return with_codestreams(item, syntax, scans_without_end(side, 20_000))


def _claimed(syntax: uid.UID, rows: int, columns: int) -> bytes:
    """Return an object whose codestream and header agree on a size that is not there."""
    item = dataset(GREY, 8)
    item.Rows, item.Columns = rows, columns
    return with_codestreams(item, syntax, _stream_of(syntax, rows, columns))


def _stream_of(syntax: uid.UID, rows: int, columns: int) -> bytes:
    if syntax == uid.RLELossless:
        return struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\x00" * 999
    if syntax == uid.JPEG2000Lossless:
        import imagecodecs  # the encoder of a codestream whose size is then changed

        data = bytes(imagecodecs.jpeg2k_encode(GREY, codecformat="j2k"))
        at = data.index(b"\xff\x51") + 6
        return data[:at] + struct.pack(">II", columns, rows) + data[at + 8 :]
    import imagecodecs

    data = bytes(imagecodecs.jpegls_encode(GREY)) if syntax == uid.JPEGLSLossless else encode(GREY, "JPEG")
    at = next(data.index(mark) for mark in (b"\xff\xf7", b"\xff\xc0") if mark in data) + 5
    return data[:at] + struct.pack(">HH", rows, columns) + data[at + 4 :]
