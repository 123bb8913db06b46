"""The process that decodes: ``python -m pneumocascade.inference.worker MEMORY``, over its standard streams.

A request is four frames: its number, settings as JSON, the specification of both stages, and the film's
bytes, empty where the settings name a path. The answer is two frames: the number of the request, and what
:func:`pneumocascade.inference.worker_protocol.film_to_bytes` gives. The first answer, of number 0, says that
the process is ready.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sys
import warnings
from pathlib import Path
from typing import IO

from pneumocascade.inference.prepare import prepare_film
from pneumocascade.inference.worker_protocol import film_to_bytes, read_frame, write_frame
from pneumocascade.model.spec import ModelSpec


def main() -> None:
    """Answer until the other side is gone."""
    # Whatever a decoder prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    warnings.filterwarnings("ignore", module="PIL")
    limit_memory(int(sys.argv[1]))
    write_frame(answers, b"0")
    write_frame(answers, b"ready")
    with contextlib.suppress(EOFError):
        while True:
            number = read_frame(sys.stdin.buffer)
            film = answer(sys.stdin.buffer)
            write_frame(answers, number)
            write_frame(answers, film)


def limit_memory(more: int) -> None:
    """Let this process take so many bytes of address space more than it has, where the system can."""
    statm = Path("/proc/self/statm")
    if sys.platform == "win32" or not statm.exists():
        return
    import resource

    now = int(statm.read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + more, now + more))


def answer(requests: IO[bytes]) -> bytes:
    """Read a request behind its number and return the prepared film."""
    settings = json.loads(read_frame(requests))
    stages = _specs(read_frame(requests))
    content = read_frame(requests)
    source: str | bytes = (
        content if settings["path"] is None else os.fsdecode(bytes.fromhex(settings["path"]))
    )
    film = prepare_film(
        (source, settings["name"]), specs=stages, gate=settings["gate"], display=settings["display"]
    )
    return film_to_bytes(film)


@functools.lru_cache(maxsize=4)
def _specs(text: bytes) -> tuple[ModelSpec, ...]:
    return tuple(ModelSpec.from_json(each) for each in json.loads(text))


if __name__ == "__main__":
    main()
