"""Uploaded films: where they lie, how long, and that no other file can be asked for."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr
from gradio.utils import get_upload_folder

from pneumocascade.errors import FilmError
from pneumocascade.i18n import gettext as _
from pneumocascade.i18n import gettext_noop
from pneumocascade.types import Reason
from pneumocascade.web.analysis import Analysis, analyse

if TYPE_CHECKING:
    from pneumocascade.inference.cascade import Cascade

FOLDER_VARIABLE = "GRADIO_TEMP_DIR"
"""Environment variable with the folder of uploads; Gradio reads it."""

SECONDS_KEPT = 3600
"""Uploaded films are deleted from the server when they are this old."""

NOT_UPLOADED = gettext_noop("This file was not uploaded here; please upload it.")

_GONE = Reason("upload_deleted", "This upload was deleted after an hour; please upload it again.")
_MADE_BY_GRADIO = re.compile(r"[0-9a-f]{64}|tmp[a-z0-9_]{8}")


def prepare_folder() -> Path:
    """Return the folder of uploads, without what a server that was killed left in it.

    Unless ``GRADIO_TEMP_DIR`` names one it is a folder of this user's own, since Gradio's is shared
    by every Gradio app of the machine.
    """
    if not os.environ.get(FOLDER_VARIABLE):
        os.environ[FOLDER_VARIABLE] = str(_own_folder(Path(tempfile.gettempdir())))
    folder = Path(get_upload_folder())
    delete_old(folder, SECONDS_KEPT)
    return folder


def _own_folder(parent: Path) -> Path:
    """Return a folder that nobody else can read or has prepared."""
    user = getattr(os, "getuid", int)()  # Windows has no numbers, but a folder for each user already
    folder = parent / f"pneumocascade-uploads-{user}"
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if (
            not folder.is_symlink()
            and found.st_uid == user
            and (os.name == "nt" or not found.st_mode & 0o077)
        ):
            return folder
    return Path(tempfile.mkdtemp(prefix="pneumocascade-uploads-", dir=parent))


def delete_old(folder: Path, seconds: float) -> None:
    """Delete what Gradio made in a folder and nobody has written to for some time; nothing else."""
    if not folder.is_dir():
        return
    limit = time.time() - seconds
    for entry in folder.iterdir():
        if not _MADE_BY_GRADIO.fullmatch(entry.name):
            continue
        with suppress(OSError):  # another server may delete the same
            if max(path.lstat().st_mtime for path in (entry, *entry.rglob("*"))) < limit:
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def uploaded(path: str) -> Path:
    """Return the path of an upload; it may have been deleted.

    The path comes from the browser. Gradio checks it as well; should it stop doing so, no other
    file of the server can be asked for all the same.

    Raises
    ------
    gradio.Error
        Where it is not inside the folder of uploads.
    """
    named = Path(os.path.abspath(get_upload_folder()))  # noqa: PTH100  resolve() follows links
    folder = named.resolve()  # another one where temporary files lie behind a link, as on macOS
    # By its letters first: the file system is not asked about any other path, which could be a share
    # of another machine.
    found = Path(os.path.abspath(path))  # noqa: PTH100
    if "\0" in path or not (found.is_relative_to(named) or found.is_relative_to(folder)):
        raise gr.Error(_(NOT_UPLOADED), print_exception=False)
    found = found.resolve()
    if found == folder or not found.is_relative_to(folder):
        raise gr.Error(_(NOT_UPLOADED), print_exception=False)
    return found


def paths_in(value: object) -> Iterator[str]:
    """Yield every path that a value from the browser names, however deep in it."""
    if isinstance(value, Mapping):
        if isinstance(value.get("path"), str):
            yield value["path"]
        value = tuple(value.values())
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from paths_in(part)


def analyse_upload(cascade: Cascade, path: str, operating_point: str, prior: float | None = None) -> Analysis:
    """Ask the cascade about an upload; for one that was deleted meanwhile, the answer says so.

    Raises
    ------
    gradio.Error
        Where the path is not that of an upload.
    """
    film = uploaded(path)
    if not film.is_file():
        gone = FilmError(_GONE.code, _GONE.message)
        return Analysis(cascade.unread(film.name, gone, operating_point=operating_point, prior=prior))
    return analyse(cascade, film, operating_point, prior)
