"""No path that a client names is ever opened: a server whose every look at the file system is noted."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import mimetypes
import os
import stat
import subprocess
import sys
import urllib.parse
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import pytest
from PIL import Image

import pneumocascade
from pneumocascade.audit.counter import STATE_VARIABLE
from pneumocascade.server.predictions import MAX_FILES
from pneumocascade.web.uploads import FOLDER_VARIABLE
from tests.conftest import draw_chest, film_png, vary_example
from tests.imaging.dicom.objects import dataset, to_bytes
from tests.imaging.dicom.test_dicomdir import dicomdir
from tests.tiny_models import write_tiny_models
from tests.web.test_uploads import BATCH, PREVIEW, SINGLE, Client, file_data

URL = "/api/v1/predictions"
SECRET = "planted-secret"
"""In the name of a film, a folder and a host that nobody may look at."""

CONTENT = "what the planted text says"

# The hook stays as long as its process: it has one of its own. What it notes goes to a file that is
# open already, since to open another would be noted, too.
_SERVER = """
import json, os, sys
from pneumocascade import Cascade
from pneumocascade.server import serve
WATCHED = {"open", "os.listdir", "os.scandir", "os.chdir", "os.link", "os.symlink", "os.rename", "os.remove",
           "os.mkdir", "os.rmdir", "shutil.copyfile", "shutil.rmtree", "subprocess.Popen", "os.exec",
           "os.posix_spawn", "os.system", "socket.getaddrinfo", "socket.gethostbyname", "socket.connect"}
log = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
def note(event, args):
    if event in WATCHED:
        path = (str, bytes, os.PathLike)
        named = [os.fsdecode(one) if isinstance(one, path) else repr(one) for one in args]
        os.write(log, json.dumps([event, named]).encode() + b"\\n")
cascade = Cascade.load(sys.argv[1], threads=1)
sys.addaudithook(note)
serve(cascade, port=0)
"""


class Watched(NamedTuple):
    """A running server.

    Attributes
    ----------
    address : str
    folder : Path
        All that it may write to.
    log : Path
        What it opened or listed.
    private : Path
        A folder with a film and a text that are nobody's business.
    """

    address: str
    folder: Path
    log: Path
    private: Path

    def ask(self, method: str, target: str, body: bytes = b"", kind: str = "") -> tuple[int, bytes]:
        """Send a request as it stands, nothing in its path put straight, and return status and answer."""
        connection = http.client.HTTPConnection(self.address.removeprefix("http://"), timeout=120)
        connection.request(method, target, body or None, {"Content-Type": kind} if kind else {})
        answer = connection.getresponse()
        found = answer.status, answer.read()
        connection.close()
        return found

    def events(self) -> list[tuple[str, list[str]]]:
        """Return what was noted so far."""
        return [(event, named) for event, named in map(json.loads, self.log.read_text().splitlines())]


@contextmanager
def watched_server(folder: Path) -> Iterator[Watched]:
    """Run a server whose temporary files and state are in a folder."""
    own, private, log = folder / "server", folder / SECRET, folder / "log"
    (own / "tmp").mkdir(parents=True)
    private.mkdir()
    Image.fromarray(vary_example(3, 301, 301)).save(private / f"{SECRET}.png")
    (private / f"{SECRET}.txt").write_text(CONTENT)
    environment = {**os.environ, STATE_VARIABLE: str(own / "state"), "TMPDIR": str(own / "tmp")}
    environment.pop(FOLDER_VARIABLE, None)
    command = [sys.executable, "-c", _SERVER, str(write_tiny_models(own)), str(log)]
    with subprocess.Popen(command, env=environment, cwd=own, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        try:
            assert "http://127.0.0.1:" in line, f"the server said {line!r}"
            yield Watched(line.split()[3], own, log, private)
        finally:
            server.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with watched_server(tmp_path_factory.mktemp("watched")) as server:
        yield server


def names_of(film: Path) -> list[str]:
    """Return names by which a stranger may try to get at a film of the server."""
    up = "../" * 20
    plain = str(film)
    return [
        plain,
        f"{up}{plain.lstrip('/')}",
        f"file://{plain}",
        f"{plain}#frame=1",
        f"{plain}\x00.png",
        f"/proc/self/root{plain}",
        f"//{plain}",
        plain.replace("/", "\\"),
        f"C:{plain}",
        f"\\\\{SECRET}.example\\share\\x.png",
        f"film.zip/{up}{plain.lstrip('/')}",
        f"{film.parent}/../{film.parent.name}/{film.name}",
        urllib.parse.quote(plain, safe=""),
        urllib.parse.quote(urllib.parse.quote(plain, safe=""), safe=""),
        f"{up}etc/passwd",
        "/etc/passwd",
        f"http://{SECRET}.example/{film.name}",
        f"https://{SECRET}.example/x.js",
        f"s3://{SECRET}/x.png",
        f"~/{film.name}",
        "${HOME}/" + film.name,
        f"|cat {plain}",
        "-",
        ".",
        "..",
        "",
    ]


def multipart(files: list[tuple[str, bytes]]) -> tuple[bytes, str]:
    """Return the body of an upload, whose names stand in it as they are, and its type."""
    parts = [
        b'--b\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n\r\n%s\r\n'
        % (name.replace('"', "%22").encode(), content)
        for name, content in files
    ]
    return b"".join(parts) + b"--b--\r\n", "multipart/form-data; boundary=b"


def archive(names: list[str], content: bytes, *, links: bool = False) -> bytes:
    """Return a zip archive with members of these names, or with links that point to them."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for number, name in enumerate(names):
            member = zipfile.ZipInfo(f"link {number}.png" if links else name)
            member.external_attr = (stat.S_IFLNK | 0o777) << 16 if links else 0o600 << 16
            file.writestr(member, name.encode() if links else content)
    return stream.getvalue()


def assert_nothing_was_opened(server: Watched) -> None:
    """Check that a server opened, listed, asked and called nothing but what is its own."""
    own = [
        *(server.folder, sys.prefix, sys.base_prefix, Path(pneumocascade.__file__).parent),
        *("/proc", "/dev", "/sys", "/usr/lib", "/usr/share", "/usr/local/lib", "/etc/localtime"),
        *(matplotlib.get_configdir(), matplotlib.get_cachedir(), *mimetypes.knownfiles),
    ]
    roots = tuple(str(Path(one).resolve()) for one in own) + tuple(map(str, own))
    uploads = tuple(map(str, (server.folder / "tmp").glob("pneumocascade-uploads-*")))
    for event, named in server.events():
        if event.startswith("socket."):
            assert not [one for one in named if "example" in one or SECRET in one], (event, named)
        elif event in ("open", "os.listdir", "os.scandir") and not named[0].isdecimal():
            path = os.path.normpath(server.folder / named[0])  # links are part of the path
            assert path.startswith(roots), (event, named)
        for one in named:
            assert SECRET not in one or one.startswith(uploads) or str(server.folder) in one, (event, named)
            assert "passwd" not in one or one.startswith(uploads), (event, named)


def assert_not_the_film(answer: bytes) -> None:
    assert CONTENT.encode() not in answer
    assert (
        b"301 x 301" not in answer
    )  # the size of the planted film, which is in the answer of every film that is read
    assert b"root:" not in answer


def test_the_notes_are_taken(server: Watched) -> None:
    """What the other tests search for would be found: an upload that is read is noted."""
    film = server.folder / "noted.png"
    film.write_bytes(film_png())
    client = Client(server.address)
    kept = client.upload(film)
    assert "data:image" in client.call(SINGLE, [file_data(kept), None, "balanced", 50, "intensity"], "noted")
    client.http.close()
    assert ("open", kept) in [(event, named[0]) for event, named in server.events()]


def test_names_of_films_are_names_alone(server: Watched) -> None:
    for name in names_of(server.private / f"{SECRET}.png"):
        for content in (b"", b"no film", film_png()):
            status, answer = server.ask("POST", f"{URL}?include=pictures", *multipart([(name, content)]))
            assert status in (200, 400, 422), (name, status)
            assert_not_the_film(answer)
            if status == 200 and name:
                (found,) = json.loads(answer)["predictions"]
                assert found["status"] == ("ok" if content.startswith(b"\x89PNG") else "error"), name
    assert_nothing_was_opened(server)


def test_a_large_upload_has_no_name(server: Watched) -> None:
    large = os.urandom(3 << 20)
    name = str(server.private / f"{SECRET}.png")
    before = set((server.folder / "tmp").rglob("*"))
    status, _ = server.ask("POST", URL, *multipart([(name, large)]))
    assert status == 200
    assert [path for path in set((server.folder / "tmp").rglob("*")) - before if path.is_file()] == []
    assert_nothing_was_opened(server)


def test_members_of_archives_are_names_alone(server: Watched) -> None:
    names = [name for name in names_of(server.private / f"{SECRET}.png") if name and "\x00" not in name]
    for data in (archive(names, film_png()), archive(names, b"", links=True), archive(names, b"no film")):
        assert len(names) <= MAX_FILES
        for name in ("study.zip", names[0], f"{names[1]}.zip"):
            status, answer = server.ask("POST", URL, *multipart([(name, data)]))
            assert status == 200
            assert_not_the_film(answer)
    found = json.loads(server.ask("POST", URL, *multipart([("a.zip", archive(names, film_png()))]))[1])
    assert {one["status"] for one in found["predictions"]} == {"ok"}
    sources = {one["source"] for one in found["predictions"]}
    assert f"a.zip/{names[0]}" in sources
    assert sources <= {f"a.zip/{name}" for name in names}
    assert_nothing_was_opened(server)


def test_a_dicomdir_leads_nowhere(server: Watched, tmp_path: Path) -> None:
    film = server.private / f"{SECRET}.png"
    up = [".."] * 20
    lists: list[list[str] | str] = [
        [*up, *film.parts[1:]],
        list(film.parts),
        str(film),
        [film.name],
        ["/", "etc", "passwd"],
    ]
    content = dicomdir(tmp_path, *lists).read_bytes()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("DICOMDIR", content)
        file.writestr("a/film.dcm", to_bytes(dataset(draw_chest(1, 128, 128), 8)))
    for name, data in (("DICOMDIR", content), ("study.zip", stream.getvalue()), (str(film), content)):
        status, answer = server.ask("POST", f"{URL}?include=pictures", *multipart([(name, data)]))
        assert status == 200
        assert_not_the_film(answer)
    client = Client(server.address)
    kept = client.upload(tmp_path / "DICOMDIR")
    for inputs, data_ in ((SINGLE, [file_data(kept), None, "balanced", 50, "intensity"]),):
        assert "data:image" not in client.call(inputs, list(data_), "dicomdir")
    client.http.close()
    assert_nothing_was_opened(server)


def targets_of(name: str) -> list[str]:
    """Return request targets that ask for a file by its name, as it is and encoded."""
    forms = {urllib.parse.quote(name), urllib.parse.quote(name, safe=""), urllib.parse.quote(name, safe="/:")}
    doubled = {urllib.parse.quote(form, safe="") for form in forms}
    before: tuple[str, ...] = (
        "/gradio_api/file=",
        "/gradio_api/file/",
        "/file=",
        "/static/",
        "/assets/",
        "/svelte/",
        "/",
    )
    before += ("/gradio_api/proxy=", "/gradio_api/custom_component/", "/gradio_api//file=", "/pwa_icon/")
    before += ("/assets/../", "/assets/%2e%2e/", "/gradio_api/deep_link?session_hash=", "/?deep_link=")
    return [f"{start}{form}" for start in before for form in forms | doubled]


def test_no_file_is_handed_out(server: Watched) -> None:
    for ending in (".png", ".txt"):
        for name in names_of(server.private / f"{SECRET}{ending}"):
            for target in targets_of(name):
                status, answer = server.ask("GET", target)
                assert_not_the_film(answer)
                shown = answer.startswith(b"<!doctype html>") or status >= 300 or name in ("", ".", "-")
                assert shown or b"\x89PNG" not in answer, target
    assert_nothing_was_opened(server)


def payloads(path: str) -> list[Any]:
    """Return values that a stranger may send in place of an upload's."""
    file = file_data(path)
    return [
        file,
        file_data(path, marked=False),
        {**file, "url": path},
        {"path": "", "url": path, "meta": {"_type": "gradio.FileData"}},
        {"path": None, "url": path, "meta": {"_type": "gradio.FileData"}},
        {**file, "is_stream": True},
        [file],
        {"value": file},
        {"path": ".", "inner": file},
        path,
    ]


def test_no_call_opens_what_it_names(server: Watched) -> None:
    client = Client(server.address)
    film = server.folder / "inside.png"
    film.write_bytes(film_png())
    inside = client.upload(film)
    names = [*names_of(server.private / f"{SECRET}.png")[:-1], f"{Path(inside).parent}/../../../../{film}"]
    names += [f"{inside}/{'../' * 20}{server.private}/{SECRET}.png", f"{inside}/../../../{SECRET}"]
    for name in names:
        for value in payloads(name):
            answer = client.call(SINGLE, [value, None, "balanced", 50, "intensity"], "stranger")
            assert "data:image" not in answer or value in (None, [])
            assert_not_the_film(answer.encode())
        file = file_data(name)
        assert "data:image" not in client.call(PREVIEW, [file, None], "stranger")
        assert "data:image" not in client.call(BATCH, [[file], "balanced", 50, "intensity"], "stranger")
        # A file where a choice or a tick belongs, and one hidden beside a good one.
        assert "data:image" not in client.call(SINGLE, [None, file, file, file], "stranger")
        hidden = {**file_data(inside, marked=False), "inner": file}
        assert "data:image" not in client.call(SINGLE, [hidden, None, "balanced", hidden], "stranger")
    client.http.close()
    assert_nothing_was_opened(server)


def test_uploads_lie_under_names_of_the_server_in_a_folder_of_its_own(server: Watched) -> None:
    content = film_png(5)
    for name in (*names_of(server.private / f"{SECRET}.png"), "<img src=x onerror=alert(1)>.png", "a" * 1000):
        status, answer = server.ask("POST", "/gradio_api/upload", *multipart([(name, content)]))
        if status != 200:
            assert status in (400, 422), (name, status)
            continue
        (kept,) = json.loads(answer)
        path = Path(kept)
        uploads = path.parent.parent
        assert uploads.parent == server.folder / "tmp"
        assert stat.S_IMODE(uploads.stat().st_mode) == 0o700
        assert path.resolve() == path
        assert path.read_bytes() == content
        # A seed of the server's own is in the folder's name: who has a film cannot tell where it lies.
        assert len(path.parent.name) == 64
        assert path.parent.name != hashlib.sha256(content).hexdigest()
        assert not set(path.name) & set('<>"/\\?*\x00\r\n')
    assert_nothing_was_opened(server)


def test_another_server_has_other_folders(server: Watched, tmp_path: Path) -> None:
    upload = multipart([("a.png", film_png(6))])
    first = Path(json.loads(server.ask("POST", "/gradio_api/upload", *upload)[1])[0])
    with watched_server(tmp_path) as another:
        second = Path(json.loads(another.ask("POST", "/gradio_api/upload", *upload)[1])[0])
    assert first.parent.name != second.parent.name
