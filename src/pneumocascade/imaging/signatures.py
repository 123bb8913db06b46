"""What kind of image some bytes are, by how they begin: for folders, and to name what is not read."""

from __future__ import annotations

import re

from pneumocascade.imaging.dicom.detect import DICOM_HEAD, is_dicom

HEAD = DICOM_HEAD
"""Bytes at the beginning that are enough, also for :func:`pneumocascade.imaging.dicom.detect.is_dicom`."""

_BEGINNINGS = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "BigTIFF"),
    (b"MM\0+", "BigTIFF"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x93NUMPY", "NumPy array"),
    (b"%PDF-", "PDF"),
    (b"\x1f\x8b", "gzip archive"),
    (b"\x89HDF\r\n\x1a\n", "HDF5"),
    (b"n+1\0", "NIfTI"),
)

_PNM = re.compile(rb"P[2356]\s+(#|\d+\s+[#\d])")
"""Magic number, then a comment or the width, and what comes behind that: a list of paths may begin like the
magic number."""

_BRANDS = {
    "AVIF": (b"avif", b"avis"),
    "HEIC": (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"),
}
"""Major brands of files of ISO/IEC 14496-12 that are pictures."""

NOT_IMAGES = frozenset({"PDF", "gzip archive", "HDF5", "NIfTI"})
"""Kinds that are named in an error but are no film of a folder."""


def image_format(head: bytes) -> str | None:
    """Return the name of a file format by its first ``HEAD`` bytes, ``None`` where it is not known."""
    for beginning, name in _BEGINNINGS:
        if head.startswith(beginning):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[:2] == b"BM" and head[6:10] == b"\0\0\0\0" and len(head) >= 26:
        return "BMP"
    if head[4:8] == b"ftyp":
        return next((name for name, brands in _BRANDS.items() if head[8:12] in brands), None)
    if _PNM.match(head):
        return "PNM"
    return None


def file_format(head: bytes) -> str | None:
    """Return what a file is by its first ``HEAD`` bytes: ``"DICOM"``, or what :func:`image_format` says.

    Of all that has a name, what is in ``NOT_IMAGES`` is no film.
    """
    return "DICOM" if is_dicom(head) else image_format(head)
