"""The list of documents links to what is served here and to the addresses of the package alone."""

from __future__ import annotations

from email.message import Message
from importlib import metadata

import pytest

from pneumocascade.web.documents import NAMES, document_list


def test_addresses_are_those_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    given = Message()
    given["Project-URL"] = "Source, https://example.org/source"
    given["Project-URL"] = "Documentation, javascript:alert(1)"
    monkeypatch.setattr(metadata, "metadata", lambda _: given)
    html = document_list()
    assert '<a href="https://example.org/source" target="_blank" rel="noopener noreferrer">Source</a>' in html
    assert "javascript" not in html
    assert '<a href="api/v1/openapi.json"' in html
    assert all(name in html for name in NAMES)
    assert "Permission is hereby granted" in html
