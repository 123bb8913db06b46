"""One DICOM object in, one film out."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from pneumocascade.errors import FilmError, UnreadableImageError, UnsuitableImageError
from pneumocascade.i18n import gettext_noop
from pneumocascade.imaging.dicom.attributes import acquisition_of
from pneumocascade.imaging.dicom.frames import COLOUR, PixelDescription, pixel_description_of, stored_values
from pneumocascade.imaging.dicom.objects import read_object
from pneumocascade.imaging.dicom.pixels import Voi, colour_picture, grey_picture
from pneumocascade.imaging.dicom.quiet import quiet
from pneumocascade.types import Acquisition

FIRST_FRAME = gettext_noop("The DICOM object has %(frames)s frames: the first was taken.")


@dataclass(frozen=True, slots=True, eq=False)
class DicomFilm:
    """One frame of a DICOM object.

    Attributes
    ----------
    pixels : ndarray of uint8 or uint16, shape (H, W), or uint8, shape (H, W, 3)
        As a viewer would show it: 0 is black, the dtype's maximum white; colour in red, green, blue.
    warnings : tuple of str
        What had to be assumed.
    acquisition : Acquisition
    frames : int
        How many the object has.
    """

    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    warnings: tuple[str, ...]
    acquisition: Acquisition
    frames: int


def read_dicom(data: bytes, *, max_pixels: int, frame: int | None = None) -> DicomFilm:
    """Read one frame of a DICOM object (CR, DX, secondary capture, ...).

    Parameters
    ----------
    data : bytes
        The whole object, with or without preamble (DICOM PS3.10).
    max_pixels : int
        Largest frame that is decoded, in pixels.
    frame : int, optional
        Number of the frame, from 1 (DICOM PS3.3, C.7.6.6); by default the first, with a warning where
        there are more.

    Returns
    -------
    DicomFilm

    Raises
    ------
    UnreadableImageError
        ``unreadable_image``, ``truncated_image``, ``unsupported_format``, ``unsupported_transfer_syntax``.
    UnsuitableImageError
        ``no_pixels``, ``too_many_pixels``, ``bad_dtype``, ``no_such_frame``.
    """
    dataset = read_object(io.BytesIO(data))
    try:
        with quiet():
            return _film(dataset, max_pixels, frame)
    except FilmError:
        raise
    except Exception as error:  # noqa: BLE001  pydicom raises many kinds on damaged values
        kind = type(error).__name__
        raise UnreadableImageError("unreadable_image", f"the DICOM object is damaged ({kind})") from None


def _film(dataset: Dataset, max_pixels: int, frame: int | None) -> DicomFilm:
    described = pixel_description_of(dataset, max_pixels)
    index = _index(described, frame)
    stored, described, notes = stored_values(dataset, described, index)
    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    warnings: tuple[str, ...] = ()
    voi = Voi("")
    if described.photometric in COLOUR:
        pixels = colour_picture(dataset, described, stored)
    else:
        pixels, warnings, voi = grey_picture(dataset, described, stored, index)
    warnings = notes + warnings
    if frame is None and described.frames > 1:
        warnings = (FIRST_FRAME % {"frames": described.frames}, *warnings)
    acquisition = replace(acquisition_of(dataset), voi=voi.kind, window=voi.window)
    return DicomFilm(pixels, warnings, acquisition, described.frames)


def _index(described: PixelDescription, frame: int | None) -> int:
    if frame is None:
        return 0
    if not 1 <= frame <= described.frames:
        raise UnsuitableImageError(
            "no_such_frame", f"there is no frame {frame}: the DICOM object has {described.frames}, from 1"
        )
    return frame - 1
