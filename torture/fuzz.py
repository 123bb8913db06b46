"""Coverage-guided fuzzing of the way in: inputs grow from those that reach new lines of code.

    python -m torture.fuzz radiograph --seconds 600
    python -m torture.fuzz dicom --seconds 600

It needs atheris (``pip install atheris``; Linux, CPython of a version it has wheels for), which nothing
else here does. Python code alone guides it: the decoders in C are hit, but not measured. An input that
ends in anything but a film or a listed code, takes over 5 s or more than 2 GB stops the run, and stays in
the folder ``--kept``; the command prints how many inputs there were.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["pneumocascade", "pydicom", "PIL"]):
    from pneumocascade import FilmError, read_radiograph
    from pneumocascade.imaging.dicom.read import read_dicom
    from pneumocascade.imaging.read import MAX_PIXELS

from torture.codes import CODES, is_sound
from torture.seeds import all_seeds

SEED = 20_240


def radiograph(data: bytes) -> None:
    """Read bytes as a film."""
    try:
        film = read_radiograph(data)
    except FilmError as error:
        assert error.code in CODES, error.code
    else:
        assert is_sound(film)


def dicom(data: bytes) -> None:
    """Read bytes as a DICOM object, whether or not they begin like one."""
    try:
        read_dicom(data, max_pixels=MAX_PIXELS)
    except FilmError as error:
        assert error.code in CODES, error.code


TARGETS: dict[str, Callable[[bytes], None]] = {"radiograph": radiograph, "dicom": dicom}


def main() -> None:
    """Fuzz one target for a bounded time."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--kept", type=Path, default=Path("torture-failures"), help="folder for what failed")
    arguments = parser.parse_args()
    arguments.kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, content) in enumerate(all_seeds()[0].items()):
            if arguments.target == "radiograph" or name.startswith("dicom"):
                (Path(folder) / str(number)).write_bytes(content)
        options = [
            f"-max_total_time={arguments.seconds}",
            f"-seed={SEED}",
            "-timeout=5",
            "-rss_limit_mb=2048",
            "-max_len=60000",
            "-print_final_stats=1",
            f"-artifact_prefix={arguments.kept}/{arguments.target}-",
            folder,
        ]
        atheris.Setup([sys.argv[0], *options], TARGETS[arguments.target])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
