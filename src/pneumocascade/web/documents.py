"""Where documentation, model card, source and licence are: the list at the end of the About tab."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata

from pneumocascade.explain.html import render
from pneumocascade.i18n import gettext_noop

NAMES = (
    gettext_noop("Documentation"),
    gettext_noop("Model card"),
    gettext_noop("Source"),
    gettext_noop("Licence"),
)
"""Labels of ``[project.urls]`` that become links, where the installed package has them."""

_WHERE = {
    "Documentation": gettext_noop("the folder docs of the source; mkdocs build makes a site of it"),
    "Model card": gettext_noop("MODEL_CARD.md of the source"),
    "Source": gettext_noop("this version's source distribution or checkout"),
    "Licence": gettext_noop("MIT, for code and models"),
}

_HERE = (
    (
        gettext_noop("Models that run here"),
        "api/v1/models",
        gettext_noop("specifications, operating points and figures as JSON"),
    ),
    (gettext_noop("REST API"), "api/v1/openapi.json", gettext_noop("OpenAPI description")),
)


@dataclass(frozen=True, slots=True)
class Document:
    """A document: its name, its address (empty where none is known), and what it is or where it lies."""

    name: str
    address: str
    about: str


def documents() -> list[Document]:
    """Return what there is to read; addresses are those of the installed package's metadata."""
    addresses = _project_urls()
    return [Document(name, addresses.get(name.casefold(), ""), _WHERE[name]) for name in NAMES] + [
        Document(*each) for each in _HERE
    ]


def document_list() -> str:
    """Return the list as HTML, with the text of the licence."""
    return render("web/documents.html.j2", documents=documents(), licence=_licence())


def _project_urls() -> dict[str, str]:
    """Return the package's addresses by their labels in lower case; those of the web alone."""
    try:
        found = metadata.metadata("pneumocascade").get_all("Project-URL") or []
    except metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return {}
    pairs = (each.partition(",")[::2] for each in found)
    urls = {label.strip().casefold(): address.strip() for label, address in pairs}
    return {label: address for label, address in urls.items() if address.startswith("https://")}


def _licence() -> str:
    """Return the text of the licence; empty where the package is not installed."""
    try:
        files = metadata.files("pneumocascade") or []
    except metadata.PackageNotFoundError:
        return ""
    return next((file.read_text() for file in files if file.name == "LICENSE"), "")
