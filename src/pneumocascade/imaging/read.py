"""From a path, bytes, array or PIL image to a :class:`Radiograph`: the only way in for pixels.

The content decides what a file is, never its suffix.
"""

from __future__ import annotations

import io
import math
import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from pneumocascade.errors import FileAccessError, FilmError, UnreadableImageError, UnsuitableImageError
from pneumocascade.imaging.chunked_reads import CHUNK_PIXELS, over_white, pixels_of
from pneumocascade.imaging.deep_tiff import BEGINNINGS as TIFF_BEGINNINGS
from pneumocascade.imaging.deep_tiff import read_deep_tiff
from pneumocascade.imaging.dicom.codestreams import is_endless, jpeg_xl_size
from pneumocascade.imaging.dicom.detect import is_dicom
from pneumocascade.imaging.files import MAX_BYTES, bytes_of, frame_of
from pneumocascade.imaging.signatures import HEAD, image_format
from pneumocascade.imaging.uris import is_uri, read_uri
from pneumocascade.types import Radiograph

if TYPE_CHECKING:
    from typing import BinaryIO, TypeAlias, TypeGuard

    from pydicom.dataset import Dataset

    Source: TypeAlias = (
        str
        | os.PathLike[str]
        | bytes
        | bytearray
        | memoryview
        | BinaryIO
        | NDArray[Any]
        | Image.Image
        | Dataset
    )

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "JPEG2000", "AVIF", "PPM")
"""Pillow's names of the formats that are read. Its JPEG opener opens MPO, too (a JPEG with further
pictures behind it), which has no opener of its own and must not be named here."""

SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".png", ".tif", ".tiff", ".webp", ".bmp", ".gif"),
        *(".jp2", ".j2k", ".jxl", ".avif", ".pgm", ".ppm", ".npy"),
    }
)
"""Suffixes of films; in folders, what has none of them is found by its content."""

KINDS = "JPEG, PNG, TIFF, WebP, BMP, GIF, JPEG 2000, JPEG XL, AVIF, PGM, NumPy array or DICOM"
"""What is read, for people."""

MAX_PIXELS = 89_000_000
"""Largest picture that is decoded, in pixels: several times the largest flat-panel detector, and just
below the size from which Pillow warns (silencing it here would not be safe between threads)."""

MIN_READABLE_SIDE = 16
"""Shortest side, in pixels, below which there is no picture to speak of."""

_FOLDER = f"this is a folder; give a film, or a folder that holds films: {KINDS}"

_OVERSHOOT = 1.02
"""Factor by which resampling may have lifted a few values above the largest of a depth."""

_READ = frozenset({"JPEG", "PNG", "WebP", "BMP", "GIF", "JPEG 2000", "AVIF", "PNM"})
"""Kinds of files of which Pillow reads all but damaged or unusual ones."""

_MAX_PAGES = 8
"""Pages of a TIFF file that are looked through for the one at full size."""

_MAX_NOTES = 10_000
"""Comments in a GIF file from which it is taken for one made to keep its reader busy: Pillow joins them in
time that grows with the square of their number."""

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a picture upright, by its EXIF orientation (1, and what EXIF does not know, needs nothing)."""

_EXPOSURE = frozenset(
    ExifTags.Base[name] for name in ("ExposureTime", "FNumber", "FocalLength", "ISOSpeedRatings")
)
"""What cameras write into EXIF data, and scanners do not."""


def read_radiograph(source: Source, name: str | None = None) -> Radiograph:
    """Read one film.

    A DICOM object is read by :func:`pneumocascade.imaging.dicom.read.read_dicom`; any other image so:

    1. Open the source; refuse what is not a supported image, too large, or more than one picture.
    2. Decode; turn it upright by its EXIF orientation.
    3. Show it as a viewer would: palette, CMYK and RGB become grey by ITU-R BT.601 luma,
       transparency is laid over white, a white-is-zero film is inverted.
    4. Refuse a picture that is too small or of one value.

    Parameters
    ----------
    source : path, URI, bytes, binary file, ndarray, tensor, PIL.Image.Image or pydicom.Dataset
        A path may lead into a zip archive (:mod:`pneumocascade.imaging.files`). A URI is text with a scheme
        and ``://``. Arrays have shape (H, W), (H, W, 1), (H, W, 3) in RGB
        or (H, W, 4) in RGBA, or (1, H, W) or (3, H, W); dtype bool, integer in 0..255 or 0..65535, or
        float in 0..1 or 0..255.
    name : str, optional
        Name shown for the film; by default the path, or the kind of source.

    Returns
    -------
    Radiograph

    Raises
    ------
    FileAccessError
        The path or URI leads to no file that can be opened.
    UnreadableImageError
        The bytes are no supported image, or are damaged.
    UnsuitableImageError
        There is nothing in the picture that could be judged.
    TypeError
        The source is of a type that is not taken.
    """
    name = name or name_of(source)
    source = bytes_if_undecoded(source)
    if hasattr(source, "__array__") and not isinstance(source, (np.ndarray, Image.Image)):
        source = np.asarray(source)  # a tensor of PyTorch, for instance
    if isinstance(source, np.ndarray):
        if np.ma.is_masked(source):
            raise UnsuitableImageError(
                "bad_dtype", f"some of the array's {source.dtype} pixels are masked; fill them"
            )
        return _finish(_grey_of_array(source), name)
    if isinstance(source, Image.Image):
        return _finish(_grey_of_image(source), name)
    if isinstance(source, bytes):
        return _film_of_bytes(source, name, None)
    if isinstance(source, (str, os.PathLike)):
        data, frame = content_of(os.fsdecode(source))
        return _film_of_bytes(data, name, frame)
    raise TypeError(
        "a film is given as path, bytes, file, NumPy array, tensor, PIL image or pydicom Dataset, not as "
        f"{type(source).__name__}"
    )


def bytes_if_undecoded(source: Any) -> Any:
    """Return the bytes of a buffer, binary file or pydicom Dataset, which are not decoded; else the source.

    Raises
    ------
    FilmError
        Where a file has too many bytes, or a data set cannot be encoded.
    TypeError
        Where a file gives text.
    """
    if is_dataset(source):
        from pneumocascade.imaging.dicom.objects import encoded_dataset

        return encoded_dataset(source)
    if isinstance(source, (bytearray, memoryview)):
        return bytes(source)
    if hasattr(source, "read") and not isinstance(source, (str, os.PathLike, Image.Image)):
        return _content_of_file(source)
    return source


def _content_of_file(file: Any) -> bytes:
    """Return what a file object holds from where it stands.

    Raises
    ------
    TypeError
        Where it gives text.
    """
    content = file.read(MAX_BYTES + 1)
    if not isinstance(content, bytes):
        raise TypeError(f"a file is to be opened in binary mode; this one gives {type(content).__name__}")
    if len(content) > MAX_BYTES:
        raise FileAccessError("unreadable_file", f"the file has more than {MAX_BYTES} bytes")
    return content


def is_dataset(source: object) -> TypeGuard[Dataset]:
    """Return whether a source is a pydicom Dataset, without loading pydicom."""
    return any(kind.__module__ == "pydicom.dataset" for kind in type(source).__mro__)


def content_of(source: str) -> tuple[bytes, int | None]:
    """Return the bytes that a path or URI leads to, and the number of the frame that it asks for.

    Raises
    ------
    FileAccessError
        Where it leads to no file that can be opened.
    """
    source, frame = frame_of(source)
    return (read_uri(source, MAX_BYTES) if is_uri(source) else bytes_of(source, _FOLDER)), frame


def name_of(source: object) -> str:
    """Return the path of a source, or what kind of source it is (``"array"``, ``"bytes"``, ...)."""
    if isinstance(source, (str, os.PathLike)):
        return str(source)
    if is_dataset(source):
        return "DICOM data set"
    kinds = {np.ndarray: "array", Image.Image: "image", bytes: "bytes"}
    return next((name for kind, name in kinds.items() if isinstance(source, kind)), type(source).__name__)


_Grey = tuple[NDArray[Any], float, tuple[str, ...]]
"""Grey pixels (H, W) of uint8 or uint16, colourfulness, warnings."""


def _film_of_bytes(data: bytes, name: str, frame: int | None) -> Radiograph:
    if not is_dicom(data):
        if frame is not None:
            raise UnsuitableImageError("no_such_frame", "only DICOM objects have frames by number")
        return _finish(_grey_of_bytes(data), name)
    from pneumocascade.imaging.dicom.read import read_dicom  # pydicom takes a while to load

    film = read_dicom(data, max_pixels=MAX_PIXELS, frame=frame)
    if film.pixels.ndim == 3:
        grey, colourfulness, _ = _grey_of_rgb(Image.fromarray(film.pixels))
    else:
        grey, colourfulness = film.pixels, 0.0
    return replace(_finish((grey, colourfulness, film.warnings), name), acquisition=film.acquisition)


def _grey_of_bytes(data: bytes) -> _Grey:
    if not data:
        raise FileAccessError("empty_file", "the film has no bytes")
    if data[:2] == b"\xff\xd8" and is_endless(data):
        raise UnreadableImageError("unreadable_image", "the JPEG file has more parts than any film")
    kind = image_format(data[:HEAD])
    if kind == "JPEG XL":
        return _grey_of_jpeg_xl(data)
    if kind == "NumPy array":
        return _grey_of_array(_array_of_npy(data))
    if data[:4] == b"GIF8" and data.count(b"!\xfe") > _MAX_NOTES:
        raise UnreadableImageError("unreadable_image", "the GIF file has more comments than any film")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        # Pillow says the size in words alone: it gives no picture back whose size could be asked for.
        found = re.search(r"\d+ pixels", str(error))
        raise _too_many_pixels(found.group() if found else "more pixels than any film") from error
    except UnidentifiedImageError as error:
        if data[:4] in TIFF_BEGINNINGS:
            return _grey_of_deep_tiff(data)
        raise UnreadableImageError("unreadable_image", _unidentified(data)) from error
    except Exception as error:  # Pillow's parsers raise many kinds on damaged headers
        raise UnreadableImageError("unreadable_image", "the image's header is damaged") from error
    with image:
        return _grey_of_image(image)


def _grey_of_deep_tiff(data: bytes) -> _Grey:
    film = read_deep_tiff(data, MAX_PIXELS)
    grey, colourfulness, notes = _grey_of_array(film.pixels)
    if film.white_is_zero:
        grey = np.iinfo(grey.dtype).max - grey
    if film.orientation in _UPRIGHT:
        grey = pixels_of(Image.fromarray(grey).transpose(_UPRIGHT[film.orientation]))
    return grey, colourfulness, notes


def _unidentified(data: bytes) -> str:
    kind = image_format(data[:HEAD])
    if kind in _READ:
        return f"the {kind} file is damaged or of an unusual kind"
    found = f"these {len(data)} bytes are not an image" if kind is None else f"{kind} is not read"
    return f"{found}; expected {KINDS}"


def _grey_of_jpeg_xl(data: bytes) -> _Grey:
    size = jpeg_xl_size(data)
    if size is None:
        raise UnreadableImageError("unreadable_image", "the JPEG XL file is damaged")
    if size.rows * size.columns > MAX_PIXELS:
        raise _too_many_pixels(f"{size.columns} x {size.rows} pixels")
    import imagecodecs  # takes a while to load

    try:
        array = np.asarray(imagecodecs.jpegxl_decode(data))
    except Exception as error:  # the decoder raises many kinds on damaged bytes
        raise UnreadableImageError("unreadable_image", "the JPEG XL file is damaged") from error
    return _grey_of_array(array)


def _array_of_npy(data: bytes) -> NDArray[Any]:
    """Return the array of a NumPy file (format 1 to 3); one that would need unpickling is not loaded."""
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read_header = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
        shape, _, dtype = read_header[min(version[0], 2)](stream)
        if math.prod(shape) * dtype.itemsize > len(data) or dtype.hasobject:
            raise ValueError(shape)
        stream.seek(0)
        return np.asarray(np.load(stream, allow_pickle=False))
    except Exception as error:  # NumPy raises many kinds on damaged headers
        raise UnreadableImageError("unreadable_image", "the NumPy file is damaged, or no array") from error


def _too_many_pixels(found: str) -> UnsuitableImageError:
    return UnsuitableImageError(
        "too_many_pixels", f"the picture has {found}; at most {MAX_PIXELS // 1_000_000} million are read"
    )


def _grey_of_image(image: Image.Image) -> _Grey:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _too_many_pixels(f"{width} x {height} pixels")
    try:
        # Looking for a second frame and decoding read damaged bytes alike. To count them all takes long.
        if image.format != "MPO" and getattr(image, "is_animated", False):
            _seek_full_size(image)
        image.load()
        return _grey_of_decoded(image)
    except FilmError:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds on damaged data
        code = "truncated_image" if "truncated" in str(error).lower() else "unreadable_image"
        raise UnreadableImageError(code, "the image data is damaged") from error


def _seek_full_size(image: Image.Image) -> None:
    """Go to the page of a TIFF file that the others are thumbnails of; refuse other files of several."""
    several = UnsuitableImageError("multiple_frames", "the file holds several pictures; give one film a file")
    pages = getattr(image, "n_frames", 0) if image.format == "TIFF" else 0
    if not 2 <= pages <= _MAX_PAGES:
        raise several
    sizes = []
    for page in range(pages):
        image.seek(page)
        sizes.append(image.size)
    largest = max(range(pages), key=lambda page: math.prod(sizes[page]))
    width, height = sizes[largest]
    others = [size for page, size in enumerate(sizes) if page != largest]
    if any(2 * across > width or 2 * down > height for across, down in others):
        raise several
    if width * height > MAX_PIXELS:
        raise _too_many_pixels(f"{width} x {height} pixels")
    image.seek(largest)


def _grey_of_decoded(image: Image.Image) -> _Grey:
    deep = image.mode.startswith("I;16") or image.mode in ("I", "F")
    # Pillow inverts white-is-zero TIFF files of 8 bits by itself, but not deeper ones.
    inverted = deep and _tiff_white_is_zero(image)
    upright, orientation_notes = _upright(image)
    grey, colourfulness, notes = _grey_of_array(pixels_of(upright)) if deep else _grey_of_rgb(upright)
    if inverted:
        grey = np.iinfo(grey.dtype).max - grey
    return grey, colourfulness, notes + orientation_notes


def _tiff_white_is_zero(image: Image.Image) -> bool:
    tags = getattr(image, "tag_v2", None)
    return tags is not None and tags.get(262) == 0


def _upright(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """Turn a picture by its EXIF orientation, and warn of what a camera took: scanners write no exposure."""
    try:
        exif = image.getexif()
        orientation = exif.get(ExifTags.Base.Orientation, 1)
        photographed = bool(exif) and not _EXPOSURE.isdisjoint(exif.get_ifd(ExifTags.IFD.Exif))
    except Exception:  # noqa: BLE001  Pillow raises many kinds on damaged EXIF data; viewers ignore such data
        return image, ("the EXIF data is damaged; the film was taken to be upright",)
    notes = ("the EXIF data is that of a camera: this may be a photograph of a film",) if photographed else ()
    return (image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image), notes


def _grey_of_rgb(image: Image.Image) -> _Grey:
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = over_white(image)
    if image.mode in ("1", "L"):
        return pixels_of(image, "L"), 0.0, ()
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    thumbnail = np.asarray(rgb.resize((64, 64), Image.Resampling.BOX), np.int16)
    colourfulness = float(np.mean(thumbnail.max(axis=2) - thumbnail.min(axis=2)))
    return pixels_of(rgb, "L"), colourfulness, ()


def _grey_of_array(array: NDArray[Any]) -> _Grey:
    if array.ndim == 3 and array.shape[0] in (1, 3) and min(array.shape[1:]) > 4:
        array = np.moveaxis(array, 0, -1)  # channels first, as in PyTorch
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))) or 0 in array.shape:
        raise UnsuitableImageError(
            "bad_shape",
            f"the array has shape {array.shape}, expected (H, W), (H, W, 3), (H, W, 4) or (3, H, W)",
        )
    if array.shape[0] * array.shape[1] > MAX_PIXELS:
        raise _too_many_pixels(f"{array.shape[1]} x {array.shape[0]} pixels")
    whole_numbers = array.dtype.kind in "iu"
    array = _unsigned(array)
    notes: tuple[str, ...] = ()
    if whole_numbers and array.dtype == np.uint16:
        array, notes = _stretched(array)
    if array.ndim == 3:
        if array.dtype == np.uint16:  # Pillow has no 16-bit colour
            array = np.round(array.astype(np.float32) / 257).astype(np.uint8)
        grey, colourfulness, _ = _grey_of_rgb(Image.fromarray(np.ascontiguousarray(array)))
        return grey, colourfulness, notes
    return array, 0.0, notes


def _stretched(array: NDArray[np.uint16]) -> tuple[NDArray[np.uint16], tuple[str, ...]]:
    """Bring a film of 8 to 15 bits in 16 to all 16; the depth is the smallest that holds its values.

    A dark film of 8 bits whose values were spread over 16 (times 257) is left as it is.
    """
    largest = int(array.max())
    bits = next(depth for depth in range(8, 17) if largest <= _OVERSHOOT * (2**depth - 1))
    if bits == 16 or (bits > 8 and not (array % 257).any()):
        return array, ()
    every = np.arange(largest + 1) * (65535 / (2**bits - 1))
    table: NDArray[np.uint16] = np.round(np.minimum(every, 65535)).astype(np.uint16)
    return table[array], (f"the film uses {bits} of its 16 bits; its grey values were stretched",)


def _unsigned(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array as uint8 or uint16, whose maximum is white."""
    if array.dtype.kind == "u" and array.dtype.itemsize <= 2:
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype == np.bool_:
        return np.asarray(np.where(array, 255, 0), np.uint8)
    if array.dtype.kind not in "iuf":
        raise UnsuitableImageError(
            "bad_dtype", f"the pixels are of type {array.dtype}, expected integer, float or bool"
        )
    low, high = array.min(), array.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise UnsuitableImageError("non_finite_values", "the pixels hold values that are not finite numbers")
    limit = 65535.0 if array.dtype.kind in "iu" else 255.0
    if low < 0 or high > limit:
        raise UnsuitableImageError(
            "bad_value_range",
            f"the {array.dtype} pixels run from {low:g} to {high:g}, expected 0..1 or 0..255 for "
            "float and 0..65535 for integers",
        )
    if array.dtype.kind in "iu":
        return array.astype(np.uint8 if high <= 255 else np.uint16)
    full_scale = 1.0 if high <= 1.0 else 255.0
    scaled = np.empty(array.shape, np.uint16)
    rows = max(1, CHUNK_PIXELS // array[0].size)
    for top in range(0, len(array), rows):
        chunk = array[top : top + rows].astype(np.float64) * (65535.0 / full_scale)
        scaled[top : top + rows] = np.round(chunk, out=chunk)
    return scaled


def _finish(grey: _Grey, name: str) -> Radiograph:
    pixels, colourfulness, notes = grey
    height, width = pixels.shape
    if min(height, width) < MIN_READABLE_SIDE:
        raise UnsuitableImageError(
            "too_few_pixels",
            f"the picture has {width} x {height} pixels; expected {MIN_READABLE_SIDE} or more a side",
        )
    if pixels.min() == pixels.max():
        raise UnsuitableImageError(
            "constant_image", f"every pixel has the grey value {int(pixels.min())}; there is no picture"
        )
    return Radiograph(np.ascontiguousarray(pixels), name, colourfulness, notes)
