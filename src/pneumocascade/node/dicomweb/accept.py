"""What a client takes (PS3.18, 8.7): media types with their transfer syntaxes, against what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.request import parse_http_list

from pydicom.uid import ExplicitVRLittleEndian
from starlette.exceptions import HTTPException

from pneumocascade.node.dicomweb.multipart import media_type_of

if TYPE_CHECKING:
    from starlette.requests import Request

DICOM_JSON = "application/dicom+json"
OCTET_STREAM = "application/octet-stream"

_MOST_RANGES = 32


class _Range(NamedTuple):
    kind: str
    parameters: dict[str, str]

    @property
    def weight(self) -> float:
        try:
            return float(self.parameters.get("q", "1"))
        except ValueError:
            return 0.0

    @property
    def any_syntax(self) -> bool:
        """Whether it takes explicit VR little endian, in which all results are."""
        return self.parameters.get("transfer-syntax", "*") in ("*", ExplicitVRLittleEndian)


def json_is_accepted(request: Request) -> None:
    """Pass a client that takes DICOM JSON.

    Raises
    ------
    HTTPException
        406 where it does not.
    """
    if not any(
        each.kind in (DICOM_JSON, "application/json", "application/*", "*/*") for each in _ranges(request)
    ):
        raise HTTPException(406, f"this is given as {DICOM_JSON} only")


def form_of(request: Request, media_type: str) -> Literal["multipart", "single"]:
    """Return whether a client takes objects as parts of a multipart body, or one by itself.

    Parameters
    ----------
    request : Request
    media_type : str
        Of the objects, or of what is in them.

    Raises
    ------
    HTTPException
        406 where it takes neither.
    """
    for each in _ranges(request):
        if not each.any_syntax:
            continue
        inner = each.parameters.get("type", media_type).lower()
        if each.kind in ("*/*", "multipart/*", "multipart/related") and inner in (media_type, "*/*"):
            return "multipart"
        if each.kind in (media_type, "application/*"):
            return "single"
    raise HTTPException(
        406,
        f'this is given as multipart/related; type="{media_type}", in explicit VR little endian '
        f"({ExplicitVRLittleEndian})",
    )


def _ranges(request: Request) -> list[_Range]:
    """Return what is taken, the most welcome first; the query parameter goes before the header (8.3.3.1)."""
    header = request.query_params.get("accept") or request.headers.get("accept") or "*/*"
    ranges = [_Range(*media_type_of(each)) for each in parse_http_list(header)[:_MOST_RANGES]]
    return sorted((each for each in ranges if each.weight > 0), key=lambda each: -each.weight)
