"""What all pages share: the templates' environment, and pictures as ``data:`` addresses."""

from __future__ import annotations

import base64
import io
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pneumocascade.errors import MissingExtraError
from pneumocascade.i18n import decimal, gettext, ngettext, thousands
from pneumocascade.types import DISCLAIMER

if TYPE_CHECKING:
    from jinja2 import Environment

_OPTIONS: dict[str, dict[str, Any]] = {
    "PNG": {"optimize": True},
    "JPEG": {"quality": 88},
    "WEBP": {"quality": 90},
}


def data_uri(picture: NDArray[np.uint8], kind: str = "PNG") -> str:
    """Return a picture as a ``data:`` address: nothing is left on disk.

    Parameters
    ----------
    picture : ndarray of uint8, shape (H, W), (H, W, 3) or, but for JPEG, (H, W, 4)
    kind : {"PNG", "JPEG", "WEBP"}
        PNG keeps each pixel. JPEG, of quality 88, is put into a PDF as it is. WebP is smallest.
    """
    return encoded_uri(encoded(picture, kind), kind)


def encoded(picture: NDArray[np.uint8], kind: str) -> bytes:
    """Return a picture as the content of an image file; see :func:`data_uri`."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind, **_OPTIONS[kind])
    return buffer.getvalue()


def encoded_uri(content: bytes, kind: str) -> str:
    """Return the content of an image file as a ``data:`` address."""
    return f"data:image/{kind.lower()};base64,{base64.b64encode(content).decode('ascii')}"


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Return the environment of all templates; text is escaped, and an unknown name is an error.

    Raises
    ------
    MissingExtraError
        Where Jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ModuleNotFoundError as error:
        raise MissingExtraError("a report", "report") from error
    made = Environment(
        loader=PackageLoader("pneumocascade.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["data_uri"] = data_uri
    made.globals.update(
        disclaimer=DISCLAIMER, _=gettext, ngettext=ngettext, decimal=decimal, thousands=thousands
    )
    return made


def render(template: str, **values: Any) -> str:
    """Return a template filled with values; their text is escaped."""
    return environment().get_template(template).render(**values)
