"""Films of uploads: what cannot be read since nobody waits any longer is no damaged film."""

from __future__ import annotations

import io
import zipfile

import pytest
from starlette.datastructures import UploadFile

from pneumocascade.server.uploads import films_of


def test_a_closed_upload_is_not_a_damaged_film() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.png", b"content")
    films, left_out = films_of([UploadFile(stream, filename="study.zip")], 10)
    assert ([film.name for film in films], left_out) == (["study.zip/a.png"], 0)
    assert films[0].read() == b"content"
    stream.close()
    with pytest.raises(ValueError, match="closed"):
        films[0].read()
