"""Reports as PDF, printed by WeasyPrint from the page of :mod:`pneumocascade.reports.html`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import ImageFile

from pneumocascade.errors import MissingExtraError, UsageError
from pneumocascade.reports.html import Item, html_parts, make_report

if TYPE_CHECKING:
    from pneumocascade.inference.cascade import Cascade

PAPER = ("page.css", "paper.css", "pdf.css")
"""Style sheets of a printed report."""

SUFFIXES = (".pdf", ".html", ".htm")
"""Suffixes by which :func:`write_report` chooses."""


def write_report(
    items: Iterable[Item], cascade: Cascade, output: Path, *, made: datetime | None = None
) -> None:
    """Write a report: a summary where there are several films, then each film on a page of its own.

    Parameters
    ----------
    items : iterable of (Prediction, Radiograph or None)
        Taken one at a time; ``None`` for a film that could not be read.
    cascade : Cascade
        That answered.
    output : Path
        A PDF or an HTML file, by its suffix; its folder is made where it is missing.
    made : datetime, optional
        When the report was made, by default now; the same films at the same time give the same bytes.

    Raises
    ------
    MissingExtraError
        Where Jinja2 or, for a PDF, WeasyPrint is not installed.
    UsageError
        For another suffix, no film, answers of other models, a file that cannot be written, or where
        libraries of the system that a PDF needs are missing.
    """
    suffix = output.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(
            f"{output} names no report: its suffix is {suffix!r}, expected {', '.join(SUFFIXES)}"
        )
    if suffix == ".pdf":
        weasyprint_module()  # before films are drawn for nothing
    report = make_report(items, cascade, made)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        if suffix == ".pdf":
            output.write_bytes(to_pdf("".join(html_parts(report, PAPER))))
        else:
            with output.open("w", encoding="utf-8", newline="\n") as file:
                file.writelines(html_parts(report))
    except OSError as error:
        raise UsageError(f"the report cannot be written to {output}: {error}") from error


def report_pdf(items: Iterable[Item], cascade: Cascade, *, made: datetime | None = None) -> bytes:
    """Return a report as the bytes of a PDF file; see :func:`write_report`."""
    return to_pdf("".join(html_parts(make_report(items, cascade, made), PAPER)))


def to_pdf(page: str) -> bytes:
    """Print an HTML page as PDF; nothing but ``data:`` addresses is opened, whatever the page asks for.

    Parameters
    ----------
    page : str
        With its style sheets in it.

    Raises
    ------
    MissingExtraError, UsageError
        As :func:`weasyprint_module`.
    """
    weasyprint = weasyprint_module()
    fetcher = weasyprint.urls.URLFetcher(allowed_protocols=("data",), allow_redirects=False)
    document = weasyprint.HTML(string=page, url_fetcher=fetcher)
    return bytes(document.write_pdf(pdf_tags=True))


def weasyprint_module() -> Any:
    """Import WeasyPrint, and undo what its import changes for everyone.

    It tells Pillow to accept truncated pictures, everywhere in the process: films would then be read
    half. A server calls this before it takes films.

    Raises
    ------
    MissingExtraError
        Where WeasyPrint is not installed.
    UsageError
        Where libraries of the system are missing that it is built on.
    """
    accepted = ImageFile.LOAD_TRUNCATED_IMAGES
    try:
        with contextlib.redirect_stdout(sys.stderr):  # where a library is missing, it prints advice
            import weasyprint
    except ModuleNotFoundError as error:
        raise MissingExtraError("a report", "report") from error
    except OSError as error:
        raise UsageError(
            f"a PDF needs libraries of the system that are missing ({error}): on Debian, run apt-get "
            "install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0; an HTML report needs none"
        ) from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = accepted
    return weasyprint
