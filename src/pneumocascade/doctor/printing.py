"""``python -m pneumocascade.doctor.printing``: print a line as PDF, and tell whether it has a font.

In a process of its own: without a font, Pango ends the process.
"""

from __future__ import annotations

from pneumocascade.doctor.decoders import FONT, NO_FONT
from pneumocascade.errors import PneumocascadeError
from pneumocascade.reports.pdf import weasyprint_module


def main() -> None:
    """Print what came of it, or why there is no PDF."""
    try:
        weasyprint = weasyprint_module()
    except PneumocascadeError as error:
        print(error)
        return
    page = weasyprint.HTML(string="<p>film</p>").write_pdf(uncompressed_pdf=True)
    print(FONT if b"/BaseFont" in page else NO_FONT)


if __name__ == "__main__":
    main()
