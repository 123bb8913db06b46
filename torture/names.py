"""Names and places that lead astray: links, loops, pipes, folders that pretend, films that vanish."""

from __future__ import annotations

import io
import os
import socket
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from pydicom import dcmread

from pneumocascade import Cascade, Prediction
from pneumocascade.imaging.find import find_sources
from tests.imaging.dicom.objects import dataset, to_bytes
from tests.imaging.dicom.test_dicomdir import dicomdir, written_study
from tests.imaging.film_files import encode
from torture.hostile_names import ABSENT, MEMBERS, NAMES
from torture.seeds import DEEP, GREY
from torture.writers import zeros


def answered(name: str, cascade: Cascade, before: Callable[[str], object] | None = None) -> list[Prediction]:
    """Return the answers to all that a name leads to; ``before`` is called with each film."""
    answers = []
    for source in find_sources([name]):
        if before is not None:
            before(source)
        answers.append(cascade.predict(source))
    return answers


Scenario = Callable[[Path, Cascade], list[Prediction]]
"""Builds something in an empty folder, names it, and returns the answers."""

FILM = encode(GREY, "PNG")


def _film_called(name: str) -> Scenario:
    def scenario(folder: Path, cascade: Cascade) -> list[Prediction]:
        (folder / name).write_bytes(FILM)
        return [*answered(str(folder / name), cascade), *answered(str(folder), cascade)]

    return scenario


def _named(name: str) -> Scenario:
    def scenario(folder: Path, cascade: Cascade) -> list[Prediction]:
        (folder / "film.png").write_bytes(FILM)
        with _inside(folder):
            return answered(name, cascade)

    return scenario


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _pretending(folder: Path, cascade: Cascade) -> list[Prediction]:
    """Call a pipe, a socket, folders and links like films."""
    os.mkfifo(folder / "pipe.png")
    os.mkfifo(folder / "pipe")
    os.mkfifo(folder / "pipe.zip")
    (folder / "folder.png").mkdir()
    (folder / "folder.zip").mkdir()
    (folder / "DICOMDIR").mkdir()
    (folder / "nothing.png").symlink_to(folder / "gone")
    (folder / "itself.png").symlink_to(folder / "itself.png")
    (folder / "there.png").symlink_to(folder / "back.png")
    (folder / "back.png").symlink_to(folder / "there.png")
    (folder / "up").symlink_to(folder, target_is_directory=True)
    (folder / "null.png").symlink_to("/dev/null")
    (folder / "zeros.png").symlink_to("/dev/zero")
    with _inside(folder), socket.socket(socket.AF_UNIX) as end:
        end.bind("socket.png")  # a socket's whole path must be short
    each = [answer for path in sorted(folder.iterdir()) for answer in answered(str(path), cascade)]
    return [*each, *answered(str(folder), cascade), *answered(str(folder / "**"), cascade)]


def _forbidden(folder: Path, cascade: Cascade) -> list[Prediction]:
    """Forbid a film, an archive and a folder to be opened; the superuser steps down for it."""
    inner = folder / "inner"
    inner.mkdir()
    for name in ("film.png", "film.dcm", "films.zip", "DICOMDIR"):
        (folder / name).write_bytes(FILM)
        (folder / name).chmod(0)
    (inner / "film.png").write_bytes(FILM)
    inner.chmod(0)
    folder.chmod(0o755)
    folder.parent.chmod(0o755)
    names = [*(str(path) for path in sorted(folder.iterdir())), str(inner / "film.png"), str(folder)]
    mighty = os.geteuid() == 0
    if mighty:
        os.seteuid(65_534)
    try:
        return [answer for name in names for answer in answered(name, cascade)]
    finally:
        if mighty:
            os.seteuid(0)
        inner.chmod(0o755)


def _vanishing(change: Callable[[Path], object]) -> Scenario:
    """Films to each of which something happens after it was found and before it is read."""

    def scenario(folder: Path, cascade: Cascade) -> list[Prediction]:
        for number in range(3):
            (folder / f"film{number}.png").write_bytes(FILM)
            (folder / f"film{number}.dcm").write_bytes(to_bytes(dataset(DEEP)))
        with zipfile.ZipFile(folder / "films.zip", "w") as archive:
            archive.writestr("film.png", FILM)
        own = answered(str(folder), cascade, lambda name: change(Path(name)))
        (folder / "films.zip").unlink(missing_ok=True)
        with zipfile.ZipFile(folder / "films.zip", "w") as archive:
            archive.writestr("film.png", FILM)
        return [*own, *answered(str(folder / "films.zip"), cascade, lambda name: change(Path(name).parent))]

    return scenario


def _to_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _to_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _to_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def _deep_folders(folder: Path, cascade: Cascade) -> list[Prediction]:
    """Folders as deep as a path may be long, a film at the end."""
    with _inside(folder):
        for _ in range(300):
            Path("deeper").mkdir()
            os.chdir("deeper")
        Path("film.png").write_bytes(FILM)
    return answered(str(folder), cascade)


def _archive_of(members: list[tuple[str, bytes]]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def _archive(make: Callable[[], bytes]) -> Scenario:
    def scenario(folder: Path, cascade: Cascade) -> list[Prediction]:
        (folder / "films.zip").write_bytes(make())
        answers = answered(str(folder / "films.zip"), cascade)
        left = [path.name for path in folder.rglob("*")]
        assert left == ["films.zip"], f"the archive was unpacked to {left}"
        return answers

    return scenario


def _bomb(count: int) -> bytes:
    """Return an archive whose member says ``count`` bytes and is as many zeros, a thousandth in size."""
    data = zeros(count, raw=True)
    header = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, 0, len(data), count, 8, 0)
    local = b"PK\x03\x04" + header + b"film.png" + data
    entry = struct.pack("<HHHHHHIIIHHHHHII", 20, 20, 0, 8, 0, 33, 0, len(data), count, 8, 0, 0, 0, 0, 0, 0)
    central = b"PK\x01\x02" + entry + b"film.png"
    end = struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)
    return local + central + b"PK\x05\x06" + end


def _nested_archive() -> bytes:
    content = _archive_of([("film.png", FILM)])
    for _ in range(50):
        content = _archive_of([("films.zip", content)])
    return content


def _encrypted() -> bytes:
    data = bytearray(_archive_of([("film.png", FILM)]))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def _listing(*file_ids: list[str] | str) -> Scenario:
    def scenario(folder: Path, cascade: Cascade) -> list[Prediction]:
        (folder / "FILM").write_bytes(to_bytes(dataset(DEEP)))
        return answered(str(dicomdir(folder, *file_ids)), cascade)

    return scenario


def _looped_listing(folder: Path, cascade: Cascade) -> list[Prediction]:
    """List records each of which says that it follows itself and lies in itself."""
    path, _ = written_study(folder)
    item = dcmread(path)
    for record in item.DirectoryRecordSequence:
        at = record.seq_item_tell
        record.OffsetOfTheNextDirectoryRecord = record.OffsetOfReferencedLowerLevelDirectoryEntity = at
    path.write_bytes(to_bytes(item))
    return answered(str(path), cascade)


def _frames_without_end(folder: Path, cascade: Cascade) -> list[Prediction]:
    """Say two thousand million frames where there is one, and ask for all."""
    (folder / "film.dcm").write_bytes(to_bytes(dataset(DEEP, NumberOfFrames=2**31 - 1)))
    return [cascade.predict(source) for source in find_sources([str(folder)], all_frames=True)]


SCENARIOS: dict[str, Scenario] = {
    **{f"a film called {name[:40]!r}": _film_called(name) for name in NAMES},
    **{f"named {name[:40]!r}": _named(name) for name in ABSENT},
    "pretending": _pretending,
    "forbidden": _forbidden,
    "deep folders": _deep_folders,
    "gone": _vanishing(Path.unlink),
    "empty by then": _vanishing(lambda path: path.write_bytes(b"")),
    "half by then": _vanishing(lambda path: os.truncate(path, path.stat().st_size // 2)),
    "a pipe by then": _vanishing(_to_pipe),
    "a folder by then": _vanishing(_to_folder),
    "a loop by then": _vanishing(_to_loop),
    **{f"member {name!r}": _archive(partial(_archive_of, [(name, FILM)])) for name in MEMBERS},
    "archive in archive": _archive(_nested_archive),
    "archive, encrypted": _archive(_encrypted),
    "archive of 20,000 notes": _archive(lambda: _archive_of([(f"{n}.txt", b"") for n in range(20_000)])),
    "archive of one film": _archive(lambda: _archive_of([("film.png", FILM)])),
    "archive bomb, 64 MB": _archive(lambda: _bomb(1 << 26)),
    "archive bomb, 4 GB": _archive(lambda: _bomb((1 << 32) - (1 << 20))),
    "DICOMDIR that leads out": _listing(["..", "..", "FILM"], "/FILM", ["", "FILM"]),
    "DICOMDIR that lists itself": _listing("DICOMDIR"),
    "DICOMDIR of 2,000 times one film": _listing(*["FILM"] * 2_000),
    "DICOMDIR in a loop": _looped_listing,
    "frames without end": _frames_without_end,
}
