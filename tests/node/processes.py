"""A node in a process of its own, as it is started on a command line."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.node.programs import accepts, wait_for


@contextlib.contextmanager
def node_process(
    port: int, options: Sequence[str], log: Path, program: Sequence[str] = ("-m", "pneumocascade")
) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``pneumocascade node``, or another program's ``node``, which is killed at the end of the block."""
    command = [sys.executable, *program, "node", "--port", str(port), *options]
    with (
        log.open("ab") as stream,
        subprocess.Popen(
            command, stdout=stream, stderr=stream, env=dict(os.environ), start_new_session=True
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def wait_until_up(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until a node takes connections."""

    def up() -> bool:
        assert process.poll() is None, log.read_text(encoding="utf-8")
        return accepts(port)

    wait_for(up, 60)
