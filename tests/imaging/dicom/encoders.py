"""Objects in every transfer syntax, made by pydicom, Pillow and Debian's dcmtk and openjph-tools."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread, uid
from pydicom.encaps import encapsulate, get_frame

from tests.imaging.dicom.objects import to_bytes
from tests.imaging.film_files import encode

LOSSLESS = (
    "implicit",
    "explicit",
    "big endian",
    "deflated",
    "RLE",
    "JPEG lossless 57",
    "JPEG lossless 70",
    "JPEG-LS",
    "JPEG 2000",
    "HTJ2K",
    "HTJ2K RPCL",
)

LOSSY = (
    "JPEG baseline",
    "JPEG extended 8",
    "JPEG extended 12",
    "JPEG-LS near",
    "JPEG 2000 lossy",
    "HTJ2K lossy",
)

_NATIVE = {
    "implicit": uid.ImplicitVRLittleEndian,
    "explicit": uid.ExplicitVRLittleEndian,
    "big endian": uid.ExplicitVRBigEndian,
    "deflated": uid.DeflatedExplicitVRLittleEndian,
}

_PYDICOM: dict[str, tuple[uid.UID, dict[str, Any]]] = {
    "RLE": (uid.RLELossless, {"encoding_plugin": "pydicom"}),
    "JPEG-LS": (uid.JPEGLSLossless, {}),
    "JPEG-LS near": (uid.JPEGLSNearLossless, {"jls_error": 2}),
    "JPEG 2000": (uid.JPEG2000Lossless, {}),
    "JPEG 2000 lossy": (uid.JPEG2000, {"j2k_psnr": [60]}),
}

_DCMTK = {
    "JPEG lossless 57": ["+el"],
    "JPEG lossless 70": ["+e1"],
    "JPEG extended 8": ["+ee", "+q", "97"],
    "JPEG extended 12": ["+ee", "+q", "97"],
}

_OPENJPH = {
    "HTJ2K": (uid.HTJ2KLossless, ["-reversible", "true"]),
    "HTJ2K RPCL": (uid.HTJ2KLosslessRPCL, ["-reversible", "true", "-prog_order", "RPCL"]),
    "HTJ2K lossy": (uid.HTJ2K, ["-reversible", "false", "-qstep", "0.0002"]),
}


def encoded(item: Dataset, way: str, folder: Path) -> bytes:
    """Return an object of one frame in a transfer syntax; skip where its encoder is not installed."""
    if way in _NATIVE:
        return to_bytes(item, _NATIVE[way])
    if way in _PYDICOM:
        syntax, options = _PYDICOM[way]
        item.compress(syntax, generate_instance_uid=False, **options)
        return to_bytes(item)
    if way in _DCMTK:
        return _by_dcmtk(item, _DCMTK[way], folder)
    if way in _OPENJPH:
        return _by_openjph(item, *_OPENJPH[way], folder)
    assert way == "JPEG baseline"
    picture = np.frombuffer(item.PixelData, np.uint8)[: item.Rows * item.Columns]
    codestream = encode(picture.reshape(item.Rows, item.Columns), "JPEG", quality=97)
    return with_codestreams(item, uid.JPEGBaseline8Bit, codestream)


def with_codestreams(item: Dataset, syntax: uid.UID, *codestreams: bytes) -> bytes:
    """Return an object whose frames are the given codestreams."""
    item.PixelData = encapsulate(list(codestreams))
    item["PixelData"].VR = "OB"
    item["PixelData"].is_undefined_length = True
    return to_bytes(item, syntax)


def codestream_of(data: bytes) -> bytes:
    """Return the codestream of a compressed object of one frame."""
    return bytes(get_frame(dcmread(io.BytesIO(data)).PixelData, 0, number_of_frames=1))


def needs(tool: str, package: str) -> str:
    """Return the path of a tool; skip where it is not installed."""
    path = shutil.which(tool)
    if path is None:
        pytest.skip(f"no {tool}: install Debian's package {package}")
    return path


def _by_dcmtk(item: Dataset, options: list[str], folder: Path) -> bytes:
    tool = needs("dcmcjpeg", "dcmtk")
    (folder / "native.dcm").write_bytes(to_bytes(item, uid.ExplicitVRLittleEndian))
    command = [tool, *options, "native.dcm", "compressed.dcm"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)
    return (folder / "compressed.dcm").read_bytes()


def _by_openjph(item: Dataset, syntax: uid.UID, options: list[str], folder: Path) -> bytes:
    tool = needs("ojph_compress", "openjph-tools")
    wide = item.BitsAllocated == 16
    values = np.frombuffer(item.PixelData, "<u2" if wide else np.uint8)
    header = f"P5 {item.Columns} {item.Rows} {2**item.BitsStored - 1}\n".encode()
    content = values.astype(">u2").tobytes() if wide else values.tobytes()[: item.Rows * item.Columns]
    (folder / "film.pgm").write_bytes(header + content)
    command = [tool, "-i", "film.pgm", "-o", "film.j2c", *options]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)
    return with_codestreams(item, syntax, (folder / "film.j2c").read_bytes())
