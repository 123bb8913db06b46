"""Disks that are full or read-only, under everything that writes: part of ``python -m torture.faults``.

Disks are small file systems in memory, mounted where nobody else sees them (``unshare``), so that no
privilege is needed where the system allows users a namespace of their own. Needs Linux.

    python -m torture.disks FOLDER TIMES SEED    # within such a namespace; prints JSON
"""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from pneumocascade.audit.history import History
from pneumocascade.errors import StorageError
from pneumocascade.types import Prediction
from tests.tiny_models import write_tiny_models
from torture.answers import sources_in
from torture.killing import PYTHON, film_in
from torture.serving import check, free_port, post, running

NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")

PLENTY = 200_000
"""Kilobytes that are enough for everything here."""

FULL = "No space left on device"
_OUTPUTS = {
    "--output": "answers.jsonl",
    "--save-pictures": "pictures",
    "--report": "report.html",
    "--history": "history.sqlite3",
}
"""What ``predict`` writes, and where to."""

_SAID = {**dict.fromkeys(_OUTPUTS, FULL), "--history": "disk is full"}


def fill_disks(folder: Path, times: int, rng: random.Random) -> dict[str, Any]:
    """Fill disks under everything that writes, in a namespace of its own; return what was counted."""
    return in_namespace("torture.disks", folder, times, rng)


def in_namespace(module: str, folder: Path, times: int, rng: random.Random) -> dict[str, Any]:
    """Run a module where it can mount disks, with folder, times and a seed; return its JSON."""
    command = (*NAMESPACE, sys.executable, "-m", module, str(folder), str(times))
    done = subprocess.run((*command, str(rng.getrandbits(32))), capture_output=True, text=True)
    check(done.returncode == 0, done.stderr[-3000:])
    return dict(json.loads(done.stdout.splitlines()[-1]))


def has_namespaces() -> bool:
    """Return whether disks can be mounted here."""
    try:
        command = (*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", "/mnt")
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


@contextmanager
def disk(folder: Path, kilobytes: int = PLENTY) -> Iterator[Path]:
    """Mount an empty disk."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(("mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)), check=True)
    try:
        yield folder
    finally:
        subprocess.run(("umount", "--lazy", str(folder)), check=True)


def remount(folder: Path, options: str) -> None:
    """Change a disk's size, or whether it can be written to."""
    subprocess.run(("mount", "-o", f"remount,{options}", str(folder)), check=True)


def make_room(folder: Path) -> None:
    """Free the disk."""
    remount(folder, f"size={PLENTY}k")


def command_line(
    *arguments: object, status: int | None = None, message: str = "", names: str = "", **variables: str
) -> None:
    """Run the command line; it says what is wrong, and no traceback. A status of ``None``: it fails."""
    command = (*PYTHON, *map(str, arguments))
    environment = {**os.environ, **variables}
    done = subprocess.run(command, input=names, capture_output=True, text=True, env=environment)
    expected = done.returncode in (1, 2) if status is None else done.returncode == status
    check(expected, f"{arguments}: exit status {done.returncode}: {done.stderr[-500:]}")
    check(message in done.stderr, f"{arguments} said {done.stderr[-500:]}, not {message!r}")
    check("Traceback" not in done.stderr, done.stderr[-2000:])


def fill_batch(folder: Path, models: Path, times: int, rng: random.Random) -> dict[str, int]:
    """Fill the disk that answers go to, free it, go on: no answer is lost or given twice."""
    film_in(folder)
    names = [f"{folder}/{'./' * (index % 300)}film.png" for index in range(1000)]
    size_of = lru_cache(partial(_size_of, folder, models, tuple(names)))
    for number, shape in zip(range(times), itertools.cycle(("jsonl", "csv", "parquet")), strict=False):
        with disk(folder / f"disk-{number}", rng.randrange(4, size_of(shape) // 1024 - 4)) as place:
            output = place / f"answers.{shape}"
            run = ("predict", "-", "--resume", "--models", models, "--output", output)
            command_line(*run, status=1, message=FULL, names="\n".join(names))
            sources = sources_in(output, shape)
            check(sources == names[: len(sources)], f"{output}: answers are not those of the first films")
            make_room(place)
            command_line(*run, status=0, names="\n".join(names))
            check(sources_in(output, shape) == names, f"{output}: answers are missing or doubled")
    return {"full_disks_under_answers": times, "films": len(names)}


def _size_of(folder: Path, models: Path, names: Sequence[str], shape: str) -> int:
    """Return how many bytes the answers take."""
    output = folder / f"whole.{shape}"
    command_line("predict", "-", "--models", models, "--output", output, status=0, names="\n".join(names))
    return sum(path.stat().st_size for path in (output, *output.rglob("*")) if path.is_file())


def fill_history(folder: Path, times: int, rng: random.Random) -> dict[str, int]:
    """Fill the disk of a history, free it, go on, with the history open all the time."""
    entered = 0
    for number in range(times):
        with disk(folder / f"history-{number}", 4 * rng.randint(20, 60)) as place:
            with closing(History(place / "history.sqlite3")) as history:
                count = _enter_until_full(history)
                check([int(one.elapsed_ms) for one in history.entries()] == list(range(count)), "entries")
                make_room(place)
                for more in range(count, count + 100):
                    history.add(_answer(more))
                found = [int(one.elapsed_ms) for one in history.entries()]
            check(found == list(range(count + 100)), "entries are missing, doubled or out of order")
            entered += len(found)
    return {"full_disks_under_histories": times, "entries": entered}


def _answer(number: int) -> Prediction:
    return Prediction("film", "ok", "balanced", "1.0.0", elapsed_ms=number)


def _enter_until_full(history: History) -> int:
    numbers = itertools.count()
    try:
        while True:
            history.add(_answer(next(numbers)))
    except StorageError as error:
        check("full" in str(error), str(error))
    return next(numbers) - 1


def fill_server(folder: Path, models: Path) -> dict[str, int]:
    """Fill the disks of a server: it refuses, says why, and goes on when the disk is free."""
    film = film_in(folder).read_bytes()
    large = film + b"\0" * (3 << 20)  # more than is held in memory
    with disk(folder / "server", 1024) as place, disk(folder / "kept", 160) as kept:
        path = kept / "history.sqlite3"
        variables = {"TMPDIR": str(place), "PNEUMOCASCADE_STATE": str(place / "state")}
        command = ("--models", str(models), "--history", str(path))
        # What cannot be stored or entered is an error in the log, of a module that says nothing else.
        with running(command, variables, folder / "server.log", expected="server.problems") as server:
            port = server.port
            check(post(port, film).status == 200, "a small film needs no disk")
            _refused(port, large)
            make_room(place)
            check(post(port, large).status == 200, "the disk is free")
            given = _post_until_full(port, film) + 2
            _refused(port, film)
            with closing(History(path)) as history:
                entries = len(list(history.entries()))
            make_room(kept)
            check(post(port, film).status == 200, "the disk is free again")
            (place / "full").write_bytes(b"")
            remount(place, "ro")
            check(post(port, film).status == 200, "the count of films may fail, an answer may not")
    check(entries >= given, f"{given} answers were given, {entries} are in the history")
    return {"answers_before_the_history_was_full": given}


def _refused(port: int, film: bytes) -> None:
    answer = post(port, film)
    check(answer.status == 503 and answer.retry_after > 0, f"a full disk: status {answer.status}")


def _post_until_full(port: int, film: bytes) -> int:
    for number in range(10_000):
        if post(port, film).status != 200:
            return number
    raise AssertionError("the disk was not filled")


def fill_outputs(folder: Path, models: Path) -> dict[str, int]:
    """Fill the disk that pictures and reports go to."""
    film = film_in(folder)
    for option, name in _OUTPUTS.items():
        with disk(folder / "outputs", 4) as place:
            (place / "rest").write_bytes(bytes(4096))
            command_line("predict", film, "--models", models, option, place / name, message=_SAID[option])
    return {"full_disks_under_outputs": len(_OUTPUTS)}


def forbid_writing(folder: Path, models: Path) -> dict[str, int]:
    """Run everything that writes on a disk that cannot be written to."""
    film = film_in(folder)
    with disk(folder / "read-only") as place:
        (place / "old").mkdir()
        remount(place, "ro")
        predict = ("predict", film, "--models", models)
        everywhere = {
            name: str(place) for name in ("TMPDIR", "HOME", "XDG_CACHE_HOME", "PNEUMOCASCADE_STATE")
        }
        command_line(*predict, status=0, **everywhere)
        writing: list[tuple[object, ...]] = [
            *((*predict, option, place / name) for option, name in _OUTPUTS.items()),
            ("serve", "--models", models, "--history", place / "history.sqlite3", "--port", free_port()),
        ]
        for arguments in writing:
            command_line(*arguments, status=2, message="pneumocascade: ")
        with running(("--models", str(models)), everywhere, folder / "server.log") as server:
            check(
                post(server.port, film.read_bytes()).status == 200,
                "an answer needs no disk",
            )
    return {"commands_on_a_read_only_disk": len(writing) + 2}


def main() -> None:
    """Fill and forbid, and print what was counted."""
    folder, times, rng = Path(sys.argv[1]), int(sys.argv[2]), random.Random(int(sys.argv[3]))
    models = write_tiny_models(folder)
    counts = fill_batch(folder, models, times, rng)
    counts |= fill_history(folder, times, rng)
    counts |= fill_server(folder, models)
    counts |= fill_outputs(folder, models)
    counts |= forbid_writing(folder, models)
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
