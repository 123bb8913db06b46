"""What ``predict_many`` is given becomes a stream of films: a list, a stack, a folder or a pattern."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pneumocascade.errors import UsageError
from pneumocascade.imaging.find import find_sources
from pneumocascade.imaging.read import is_dataset
from pneumocascade.types import Radiograph

if TYPE_CHECKING:
    from pneumocascade.inference.prepare import AnySource

TAKEN = "paths, bytes, files, NumPy arrays, tensors, PIL images, pydicom Datasets or Radiographs"
"""What one film may be given as, for people."""


def several_films(
    sources: Any, names: Iterable[str] | None = None
) -> tuple[Iterable[AnySource], Iterable[str] | None]:
    """Return films one by one, and their names where they have none of their own.

    Parameters
    ----------
    sources : iterable, path or array
        An iterable of films; the path of a folder, an archive or a film, a pattern or a URI, expanded by
        :func:`pneumocascade.imaging.find.find_sources`; or a stack of pictures as array or tensor, (N, H, W),
        (N, H, W, C), (N, 1, H, W) or (N, 3, H, W).
    names : iterable of str, optional
        One for each film, in place of those that it would have.

    Raises
    ------
    UsageError
        For what is one film.
    TypeError
        For what holds no films.
    """
    if isinstance(sources, (str, os.PathLike)):
        return find_sources([os.fsdecode(sources)]), names
    if _is_one_film(sources):
        raise UsageError("predict_many takes several films; give one film to predict, or put it in a list")
    if isinstance(sources, np.ndarray) or hasattr(sources, "__array__"):
        return _of_stack(np.asarray(sources), names)
    if not isinstance(sources, Iterable):
        raise TypeError(
            f"films are given as an iterable of {TAKEN}, as a folder or pattern, or as an array (N, H, W), "
            f"not as {type(sources).__name__}"
        )
    return sources, names


def _is_one_film(source: object) -> bool:
    kinds = (bytes, bytearray, memoryview, Image.Image, Radiograph)
    return isinstance(source, kinds) or hasattr(source, "read") or is_dataset(source)


def _of_stack(
    stack: NDArray[Any], names: Iterable[str] | None
) -> tuple[Iterable[AnySource], Iterable[str] | None]:
    if stack.dtype.kind in "OUS":  # a column of paths
        return stack.ravel().tolist(), names
    colour_last = stack.ndim == 3 and stack.shape[2] in (1, 3, 4)
    if stack.ndim not in (3, 4) or colour_last:
        raise UsageError(
            f"the array has shape {stack.shape}; predict_many takes several films, such as (N, H, W) or "
            "(N, H, W, 3); give one film to predict, or put it in a list"
        )
    return stack, names or [f"array[{number}]" for number in range(len(stack))]
