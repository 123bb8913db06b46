"""From the body of a request to its films and options: a form, JSON, or the film's own bytes."""

from __future__ import annotations

import base64
import binascii
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

import anyio
from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.requests import ClientDisconnect

from pneumocascade.server.schema import FilmBody, Options

if TYPE_CHECKING:
    from fastapi import Request

FORM = "multipart/form-data"
RAW = ("image/jpeg", "image/png", "application/dicom", "application/zip", "application/octet-stream")
"""Media types of a body that is a film or an archive itself. Any other ``image/...`` is one, too: the content
decides what it is."""

_JSON = "application/json"
_FORMS = ("", FORM, "application/x-www-form-urlencoded")
_SPOOLED_BYTES = 1024 * 1024
"""Largest film that is kept in memory; others are stored in a temporary file, as those of forms are."""

_decoding = anyio.CapacityLimiter(1)
"""JSON is in memory several times while its base64 is decoded: this is done for one request at a time."""


class Asked(NamedTuple):
    """What a request's body holds.

    Attributes
    ----------
    files : list of UploadFile
        Images, DICOM objects or archives.
    options : Options
    """

    files: list[UploadFile]
    options: Options


@asynccontextmanager
async def asked_in(request: Request, limit: int) -> AsyncIterator[Asked]:
    """Read a request's body; its files are deleted at the end of the block.

    Parameters
    ----------
    request : Request
    limit : int
        Largest file, in bytes.

    Raises
    ------
    HTTPException
        Status 413 for a file that is too large, 415 for another media type, 400 for a damaged form.
    RequestValidationError
        For what has another shape.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in _FORMS:
        async with _form(request) as form:
            asked = _in_form(form)
            for file in asked.files:
                _check_size(file, limit)
            yield asked
    elif kind == _JSON:
        async with _stored(request, limit * 4 // 3 + _SPOOLED_BYTES) as stored, _upload() as file:
            options = await anyio.to_thread.run_sync(_decode, stored, file, limiter=_decoding)
            _check_size(file, limit)
            yield Asked([file], options)
    elif kind in RAW or kind.startswith("image/"):
        async with _stored(request, limit) as stored:
            if not stored.size:
                raise _invalid("film", "the body is empty")
            yield Asked([stored], Options())
    else:
        listed = ", ".join((FORM, _JSON, *RAW))
        raise HTTPException(415, f"the body is {kind}; expected any of {listed}", {"Accept-Post": listed})


def _check_size(file: UploadFile, limit: int) -> None:
    if (file.size or 0) > limit:
        name = repr(file.filename) if file.filename else "the film"
        raise HTTPException(413, f"{name} has {file.size} bytes; at most {limit} are taken for one file")


@asynccontextmanager
async def _form(request: Request) -> AsyncIterator[FormData]:
    try:
        form = await request.form()
    except (HTTPException, OSError):  # one of the limits; a disk that is full
        raise
    except Exception as error:
        raise HTTPException(400, "the form cannot be read: it is damaged") from error
    try:
        yield form
    finally:
        await form.close()


def _in_form(form: FormData) -> Asked:
    files = form.getlist("files")
    found = [file for file in files if isinstance(file, UploadFile)]
    if not files:
        raise _invalid("files", "Field required")
    if len(found) < len(files):
        text = "files is text where a file is expected (with curl: -F files=@film.jpeg)"
        raise RequestValidationError([{"loc": (), "msg": text}])
    given = {name: form[name] for name in ("operating_point", "prior", "threshold") if form.get(name)}
    try:
        return Asked(found, Options.model_validate({**given, "include": form.getlist("include")}))
    except ValidationError as error:
        raise _shapes(error) from None


@asynccontextmanager
async def _upload(name: str = "") -> AsyncIterator[UploadFile]:
    # The upload closes it.
    spooled = cast("BinaryIO", tempfile.SpooledTemporaryFile(_SPOOLED_BYTES))  # noqa: SIM115
    file = UploadFile(spooled, size=0, filename=name)
    try:
        yield file
    finally:
        await file.close()


@asynccontextmanager
async def _stored(request: Request, limit: int) -> AsyncIterator[UploadFile]:
    """Store a body of at most so many bytes as a file."""
    async with _upload() as file:
        try:
            async for chunk in request.stream():
                await file.write(chunk)
                if (file.size or 0) > limit:
                    raise HTTPException(413, f"the body is larger than {limit} bytes")
        except ClientDisconnect as error:
            raise HTTPException(400, "the body broke off") from error
        yield file


def _decode(stored: UploadFile, file: UploadFile) -> Options:
    """Write the film in a JSON body to a file; return the options beside it."""
    stored.file.seek(0)
    try:
        body = FilmBody.model_validate_json(stored.file.read())
    except ValidationError as error:
        raise _shapes(error) from None
    head, comma, data = body.image.partition(",")
    try:
        content = base64.b64decode(data if comma and head.startswith("data:") else body.image, validate=True)
    except (binascii.Error, ValueError):
        raise _invalid("image", "this is not base64 (with coreutils: base64 --wrap 0 film.jpeg)") from None
    if not content:
        raise _invalid("image", "there is no film in it")
    file.filename, file.size = body.source, len(content)
    file.file.write(content)
    return body


def _invalid(name: str, message: str) -> RequestValidationError:
    return RequestValidationError([{"loc": ("body", name), "msg": message}])


def _shapes(error: ValidationError) -> RequestValidationError:
    """Return what is wrong, without what was given: it may be a film."""
    errors: Iterable[Any] = error.errors(include_input=False, include_context=False, include_url=False)
    return RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in errors])
