"""Only uploads can be asked for, over HTTP as a browser or a stranger asks; old ones are deleted."""

from __future__ import annotations

import io
import json
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from PIL import Image

from pneumocascade import Cascade
from pneumocascade.errors import StorageError
from pneumocascade.web.app import PageBlocks
from pneumocascade.web.inputs import EXPIRED
from pneumocascade.web.uploads import (
    FOLDER_VARIABLE,
    _own_folder,
    analyse_upload,
    delete_old,
    prepare_folder,
    uploaded,
)
from tests.conftest import draw_chest
from tests.loops import run_apart

Inputs = list[str | None]
SINGLE: Inputs = ["single-upload", None, "single-point", "single-prior", "single-measure"]
PREVIEW: Inputs = ["single-upload", None]
BATCH: Inputs = ["batch-upload", "batch-point", "batch-prior", "batch-measure"]
AGAIN: Inputs = [None, "batch-table", None, "batch-point", "batch-prior"]
PLOT: Inputs = [None, "single-analysed", "single-measure"]


class Client:
    """Calls the functions behind the page, found by the components that they are given."""

    def __init__(self, address: str) -> None:
        self.http = httpx.Client(base_url=address, timeout=120, trust_env=False)
        self.config = self.http.get("/config").json()
        self.names = {part["id"]: part["props"].get("elem_id") for part in self.config["components"]}

    def call(self, inputs: Inputs, data: list[object], session: str) -> str:
        """Return what the server says of one call."""
        index = next(
            each["id"]
            for each in self.config["dependencies"]
            if [self.names.get(part) for part in each["inputs"]] == inputs and each["backend_fn"]
        )
        body = {"data": data, "fn_index": index, "session_hash": session}
        self.http.post("/gradio_api/queue/join", json=body).raise_for_status()
        with self.http.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as lines:
            return next(line for line in lines.iter_lines() if "process_completed" in line)

    def upload(self, path: Path) -> str:
        """Return where the server keeps an upload."""
        response = self.http.post("/gradio_api/upload", files={"files": (path.name, path.read_bytes())})
        return str(response.json()[0])


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    client = Client(address)
    yield client
    client.http.close()


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A film on the server that nobody uploaded."""
    path = tmp_path / "private.png"
    Image.fromarray(draw_chest(3, 128, 128)).save(path)
    return path


def file_data(path: str, *, marked: bool = True) -> dict[str, object]:
    return {"path": path, "meta": {"_type": "gradio.FileData"}} if marked else {"path": path}


@pytest.mark.parametrize("marked", [True, False], ids=["marked as a file", "not marked"])
def test_no_other_picture_of_the_server_can_be_read(client: Client, private: Path, marked: bool) -> None:
    inside = Path(client.upload(private)).parent
    for path in (
        str(private),
        f"{inside}/../../../{private}",
        f"{inside}/{os.path.relpath(private, inside)}",
    ):
        film = file_data(path, marked=marked)
        for inputs, data in (
            (SINGLE, [film, None, "balanced", 50, "intensity"]),
            (PREVIEW, [film, None]),
            (BATCH, [[film], "balanced", 50, "intensity"]),
        ):
            answer = client.call(inputs, list(data), "stranger")
            assert "data:image" not in answer
            assert json.loads(answer.removeprefix("data: "))["success"] is False


def test_no_address_is_fetched_for_a_stranger(client: Client) -> None:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *args: object) -> None: ...  # quiet

    with HTTPServer(("127.0.0.1", 0), Handler) as inner:
        threading.Thread(target=inner.serve_forever, daemon=True).start()
        film = file_data(f"http://127.0.0.1:{inner.server_port}/film.png")
        answer = client.call(SINGLE, [film, None, "balanced", 50, "intensity"], "stranger")
        inner.shutdown()
    assert asked == []
    assert "data:image" not in answer


def test_an_upload_is_analysed_until_it_is_deleted(client: Client, private: Path) -> None:
    kept = Path(client.upload(private))
    inputs: list[object] = [file_data(str(kept)), None, "balanced", 50, "intensity"]
    assert "data:image" in client.call(SINGLE, inputs, "visitor")
    kept.unlink()
    answer = client.call(SINGLE, inputs, "visitor")
    assert "This upload was deleted after an hour; please upload it again." in answer
    assert "upload_deleted" in answer


def test_lost_results_are_told_from_no_results(client: Client) -> None:
    """A session that the server no longer knows: only the page knows that it had analysed a film."""
    assert EXPIRED in client.call(PLOT, [None, True, "entropy"], "lost")
    assert "data-measure" in client.call(PLOT, [None, False, "entropy"], "new")
    assert EXPIRED in client.call(AGAIN, [None, "<table>", None, "sensitive", 50], "lost")
    assert EXPIRED not in client.call(AGAIN, [None, "", None, "sensitive", 50], "new")


def test_the_handlers_check_by_themselves(
    cascade: Cascade, private: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "uploads"
    folder.mkdir()
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    (folder / "film.png").symlink_to(private)
    for path in (private, folder / ".." / private.name, folder, folder / "film.png"):
        with pytest.raises(gr.Error, match="not uploaded here"):
            analyse_upload(cascade, str(path), "balanced")
    private.rename(folder / "own.png")
    assert analyse_upload(cascade, str(folder / "own.png"), "balanced").name == "own.png"


def age(path: Path, seconds: float) -> None:
    os.utime(path, (time.time() - seconds,) * 2)


def test_what_a_killed_server_left_is_deleted_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new, foreign = (tmp_path / name for name in ("a" * 64, "b" * 64, "my films"))
    for folder in (old, new, foreign):
        folder.mkdir()
        (folder / "film.png").write_bytes(b"x")
        age(folder, 7200)
        age(folder / "film.png", 10 if folder == new else 7200)
    for name in ("tmp12345678", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
        age(tmp_path / name, 7200)
    (tmp_path / "tmpabcdefgh").write_bytes(b"")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    assert prepare_folder() == tmp_path
    assert {path.name for path in tmp_path.iterdir()} == {
        new.name,
        foreign.name,
        "notes.txt",
        "tmpabcdefgh",
    }
    delete_old(tmp_path / "not there", 0)


def test_uploads_lie_in_a_folder_of_this_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _own_folder(tmp_path)
    assert folder.stat().st_mode & 0o077 == 0
    assert _own_folder(tmp_path) == folder
    folder.chmod(0o755)
    other = _own_folder(tmp_path)
    assert other != folder
    assert other.stat().st_mode & 0o077 == 0
    folder.rmdir()
    folder.symlink_to(other)
    assert _own_folder(tmp_path) not in (folder, other)


def test_favicon_and_headers_come_from_here(client: Client) -> None:
    response = client.http.get("/favicon.ico")
    with Image.open(io.BytesIO(response.content)) as icon:
        assert icon.format == "PNG"
        assert icon.size == (64, 64)
    page: Any = client.http.get("/")
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"


def test_uploads_may_lie_behind_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS, where temporary files lie in /var, which is a link; Gradio names paths by the link."""
    (tmp_path / "private" / "folder").mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(b"film")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "private")
    monkeypatch.setenv(FOLDER_VARIABLE, str(link))
    film = link / "folder" / "film.png"
    film.write_bytes(b"film")
    assert uploaded(str(film)) == film.resolve()
    assert uploaded(str(film.resolve())) == film.resolve()
    (link / "folder" / "away.png").symlink_to(tmp_path / "secret.png")
    for outside in (link, link / ".." / "secret.png", tmp_path / "secret.png", link / "folder" / "away.png"):
        with pytest.raises(gr.Error, match="not uploaded here"):
            uploaded(str(outside))


@pytest.mark.parametrize(
    ("raised", "shown"),
    [
        (FileNotFoundError(2, "no such file", "Planted^Patient.png"), "The server failed"),
        (StorageError("/secret/Planted.sqlite3: no answer can be entered"), "could not be stored"),
        (gr.Error("the value 'Planted' is not a choice"), "is not a choice"),
    ],
)
def test_what_an_exception_says_is_not_sent_and_no_message_of_the_log(
    raised: Exception,
    shown: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(gr.Blocks, "process_api", fail)

    async def call() -> None:
        await PageBlocks().process_api(0, [])

    with pytest.raises(gr.Error, match=shown) as caught:
        run_apart(call())
    assert not caught.value.print_exception
    assert isinstance(raised, gr.Error) or "Planted" not in str(caught.value)
    assert "Planted" not in "".join(record.getMessage() for record in caplog.records)
