"""What reads films and prints reports: decoders, the processes that they run in, the libraries for PDF."""

from __future__ import annotations

import importlib.util
from contextlib import closing

from pneumocascade.doctor.check import Check, pip, tilde
from pneumocascade.doctor.child import how_it_ended, run
from pneumocascade.doctor.models import EXPECTED, example

# Printed in a process of its own: without a font, Pango ends the process.
_PRINT = """
from pneumocascade.errors import PneumocascadeError
from pneumocascade.reports.pdf import weasyprint_module
try:
    page = weasyprint_module().HTML(string="<p>film</p>").write_pdf(uncompressed_pdf=True)
    print("with a font" if b"/BaseFont" in page else "without a font")
except PneumocascadeError as error:
    print(error)
"""

_DECODERS = "imagecodecs pydicom pyjpegls pylibjpeg pylibjpeg-openjpeg"


def check_dicom() -> list[Check]:
    """Check that a DICOM object of every transfer syntax that is promised can be read."""
    from pneumocascade.imaging.dicom.self_test import try_decoders

    tried = try_decoders()
    wrong = [f"{name}: {what}" for name, what in tried.items() if what]
    if wrong:
        advice = f"{pip()} --force-reinstall {_DECODERS}"
        return [Check("DICOM", "problem", "; ".join(wrong), advice)]
    return [Check("DICOM", "ok", f"a film came back in each of {len(tried)} transfer syntaxes")]


def check_workers() -> list[Check]:
    """Check that a process that decodes can be started, and reads a film as this process does."""
    from pneumocascade.inference.prepare import prepare_film
    from pneumocascade.inference.worker_pool import IsolatedReader
    from pneumocascade.model.spec import for_recipe

    specs = (for_recipe(1, "baseline"), for_recipe(2, "baseline"))
    film = (example(next(iter(EXPECTED))), None)
    with closing(IsolatedReader(1)) as reader:
        answer = reader(film, specs=specs)
    if answer.status == "ok" and answer.pixels_sha256 == prepare_film(film, specs=specs).pixels_sha256:
        return [Check("decoding process", "ok", "started, and read an example film as this process does")]
    message = answer.error.message if answer.error else "it read other pixels than this process"
    advice = (
        "serve needs it: let this user start processes (ulimit -u, docker run --pids-limit), and see what "
        "this prints: python -m pneumocascade.inference.worker 3221225472 < /dev/null"
    )
    return [Check("decoding process", "problem", message, advice)]


def check_pdf() -> list[Check]:
    """Check the libraries of the system, and a font, that reports as PDF need."""
    if importlib.util.find_spec("weasyprint") is None:
        advice = f"for reports: {pip()} 'pneumocascade[report]'"
        return [Check("PDF", "note", "WeasyPrint is not installed", advice)]
    done = run("-c", _PRINT)
    *_, message = done.stdout.strip().splitlines() or [""]
    if message == "with a font":
        return [Check("PDF", "ok", "WeasyPrint prints, with a font")]
    fonts = "install a font; on Debian: apt-get install fonts-dejavu-core"
    if message == "without a font" or "No fonts" in done.stderr:
        return [Check("PDF", "problem", "WeasyPrint finds no font: there can be no PDF", fonts)]
    if message:  # the message of an error of ours, which says what to do
        found, _, advice = message.partition(": ")
        return [Check("PDF", "problem", tilde(found), tilde(advice or message))]
    advice = f"{fonts}; {pip()} --force-reinstall weasyprint"
    return [Check("PDF", "problem", f"WeasyPrint cannot print: {how_it_ended(done)}", advice)]
