"""Libraries that may crash are tried in a process of their own: the others are still to be checked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from pneumocascade.doctor.check import Check, pip, tilde
from pneumocascade.inference.worker_pool import SAFE_PATH

LIBRARIES = ("numpy", "cv2", "PIL", "onnxruntime", "imagecodecs", "jpeg_ls", "openjpeg", "pydicom")
"""Modules with compiled parts, or that load such modules."""

MORE_PROCESSES = "let this user start processes (ulimit -u, docker run --pids-limit)"

SECONDS = 120
"""Longest time for a child: a hundred times what it takes."""

_IMPORT = """
import importlib, sys
for name in sys.argv[1:]:
    print(name, flush=True)
    importlib.import_module(name)
print("done")
"""


def check_libraries() -> list[Check]:
    """Check that the compiled libraries can be loaded: one made for another processor ends its process."""
    done = run("-c", _IMPORT, *LIBRARIES)
    *_, last = done.stdout.split() or ["nothing"]
    if last == "done":
        return [Check("libraries", "ok", f"loaded: {', '.join(LIBRARIES)}")]
    advice = f"{pip()} --force-reinstall pneumocascade"
    if done.returncode < 0:
        advice += f"; on a processor that is too old for it, an older release of what brings {last}"
    found = f"loading {last} failed: {how_it_ended(done)}; models and decoders were not tried"
    return [Check("libraries", "problem", found, advice)]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run this very Python with some arguments, and wait; one that takes too long is ended."""
    command = [sys.executable, *arguments]
    try:
        return subprocess.run(  # noqa: S603  the arguments are our own
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
            env={**os.environ, **SAFE_PATH},
        )
    except OSError as error:
        message = f"no process can be started ({error.strerror}): {MORE_PROCESSES}"
        return subprocess.CompletedProcess(command, 1, "", message)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, -signal.SIGTERM, "", f"not done after {SECONDS} seconds")


def how_it_ended(done: subprocess.CompletedProcess[str]) -> str:
    """Return the signal or the exit status of a child, and the last line that it said."""
    code = done.returncode
    known = {int(each): each.name for each in signal.Signals}
    ended = known.get(-code, f"signal {-code}") if code < 0 else f"exit status {code}"
    lines = done.stderr.strip().splitlines()
    return tilde(f"{ended} ({lines[-1].strip()})") if lines else ended
