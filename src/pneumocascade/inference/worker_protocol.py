"""What goes over the pipes: text and numbers, so that a worker that was taken over can hand on nothing else.

A frame is eight bytes of length, big endian, and that many bytes.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict
from typing import IO, Any

import numpy as np

from pneumocascade.inference.prepare import PreparedFilm
from pneumocascade.model.preprocess import MAX_DISPLAY_SIDE
from pneumocascade.types import Acquisition, Original, Radiograph, Reason

MAX_ANSWER = 1 << 26
"""Largest frame of an answer, in bytes: many times what two inputs need."""

MAX_NUMBER = 20
"""Largest frame of a request's number, in bytes: decimal digits."""

MAX_SIDE = 4096
"""Largest side of an input in an answer, in pixels."""

_LENGTH = struct.Struct(">Q")


def write_frame(stream: IO[bytes], data: bytes) -> None:
    """Write a frame."""
    stream.write(_LENGTH.pack(len(data)))
    stream.write(data)
    stream.flush()


def read_frame(stream: IO[bytes], most: int | None = None) -> bytes:
    """Read a frame.

    Raises
    ------
    EOFError
        Where the other side is gone.
    ValueError
        Where the frame is longer than ``most`` bytes.
    """
    head = _exactly(stream, _LENGTH.size)
    (length,) = _LENGTH.unpack(head)
    if most is not None and length > most:
        raise ValueError(f"a frame of {length} bytes, expected at most {most}")
    return _exactly(stream, length)


def _exactly(stream: IO[bytes], length: int) -> bytes:
    data = stream.read(length)
    if len(data) < length:
        raise EOFError("the other side is gone")
    return data


def film_to_bytes(film: PreparedFilm) -> bytes:
    """Return a film made ready as a line of JSON, and its arrays behind it."""
    distinct = list({id(array): array for array in film.inputs}.values())
    places = [next(i for i, each in enumerate(distinct) if each is array) for array in film.inputs]
    header: dict[str, Any] = {
        "source": film.source,
        "status": film.status,
        "warnings": film.warnings,
        "reasons": [asdict(reason) for reason in film.reasons],
        "error": asdict(film.error) if film.error else None,
        "pixels_sha256": film.pixels_sha256,
        "acquisition": asdict(film.acquisition) if film.acquisition else None,
        "seconds": film.seconds,
        "display": None,
        "inputs": places,
        "shapes": [array.shape for array in distinct],
    }
    pictures: list[Any] = []
    if film.display is not None and (original := film.display.original) is not None:
        header["display"] = {
            "shape": film.display.pixels.shape,
            "side": len(original.square),
            "size_read": film.display.size_read,
            "colourfulness": film.display.colourfulness,
            "warnings": film.display.warnings,
            "bits": original.bits,
            "margin": original.margin,
        }
        pictures = [film.display.pixels, original.square]
    arrays = b"".join(np.ascontiguousarray(each).tobytes() for each in (*distinct, *pictures))
    return json.dumps(header).encode() + b"\n" + arrays


def film_from_bytes(data: bytes) -> PreparedFilm:
    """Return what :func:`film_to_bytes` was given.

    Raises
    ------
    ValueError, LookupError, TypeError
        Where the bytes are no such film.
    """
    head, _, rest = data.partition(b"\n")
    header: dict[str, Any] = json.loads(head)
    if header["status"] not in ("ok", "refused", "error"):
        raise ValueError(f"status is {header['status']!r}")
    shapes = [tuple(map(int, shape)) for shape in header["shapes"]]
    for shape in shapes:
        if len(shape) != 4 or shape[:2] != (1, 3) or not all(0 < side <= MAX_SIDE for side in shape[2:]):
            raise ValueError(f"an input has shape {shape}")
    sizes = [int(np.prod(shape)) for shape in shapes]
    numbers = np.frombuffer(rest, np.float32, sum(sizes))
    rest = rest[numbers.nbytes :]
    arrays = np.split(numbers, np.cumsum(sizes)[:-1]) if sizes else []
    inputs = [array.reshape(shape) for array, shape in zip(arrays, shapes, strict=True)]
    acquisition = _acquisition(header["acquisition"]) if header["acquisition"] else None
    return PreparedFilm(
        str(header["source"]),
        header["status"],
        tuple(map(str, header["warnings"])),
        tuple(Reason(str(each["code"]), str(each["message"])) for each in header["reasons"]),
        Reason(str(header["error"]["code"]), str(header["error"]["message"])) if header["error"] else None,
        tuple(inputs[place] for place in header["inputs"]),
        str(header["pixels_sha256"]),
        acquisition,
        float(header["seconds"]),
        _display(header, rest, acquisition),
    )


def _acquisition(said: dict[str, Any]) -> Acquisition:
    """Return what an object says of its film: text and numbers, whatever was sent."""
    values: dict[str, Any] = {name: str(value) for name, value in said.items()}
    if (age := said["age_years"]) is not None:
        age = float(age)
    pairs: dict[str, tuple[float, float] | None] = {"window": None, "pixel_spacing": None}
    for name in pairs:
        if said[name] is not None:
            first, second = said[name]
            pairs[name] = float(first), float(second)
    return Acquisition(**{**values, "age_years": age, **pairs})


def _display(header: dict[str, Any], rest: bytes, acquisition: Acquisition | None) -> Radiograph | None:
    """Return the display copy, whose pixels are all of ``rest``."""
    about = header["display"]
    if about is None:
        if rest:
            raise ValueError(f"{len(rest)} bytes too many")
        return None
    rows, columns, side = (int(number) for number in (*about["shape"], about["side"]))
    if not (0 < rows <= MAX_DISPLAY_SIDE and 0 < columns <= MAX_DISPLAY_SIDE and 0 < side <= MAX_SIDE):
        raise ValueError(f"a display copy of {rows} x {columns} with a square of {side}")
    if len(rest) != rows * columns + side * side:
        raise ValueError(f"{len(rest)} bytes of a display copy, expected {rows * columns + side * side}")
    values = np.frombuffer(rest, np.uint8)
    pixels, square = values[: rows * columns], values[rows * columns :]
    height, width = (int(number) for number in about["size_read"])
    original = Original(height, width, int(about["bits"]), square.reshape(side, side), float(about["margin"]))
    return Radiograph(
        pixels.reshape(rows, columns),
        str(header["source"]),
        float(about["colourfulness"]),
        tuple(map(str, about["warnings"])),
        acquisition,
        original,
    )
