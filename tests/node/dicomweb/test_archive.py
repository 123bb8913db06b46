"""Destinations and tokens: what is one, and what is refused before anything is sent."""

from __future__ import annotations

import pytest

from pneumocascade import UsageError
from pneumocascade.node.dicomweb.archive import ArchiveToken, WebArchive, destination_of
from pneumocascade.node.peers import Peer


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://archive.example/dicom-web", "https://archive.example/dicom-web"),
        ("https://archive.example:8443/dicom-web/", "https://archive.example:8443/dicom-web"),
        ("http://127.0.0.1:8042/dicom-web", "http://127.0.0.1:8042/dicom-web"),
        ("http://[::1]:8042", "http://[::1]:8042"),
    ],
)
def test_a_url_is_an_archive(text: str, url: str) -> None:
    assert destination_of(text) == WebArchive(url)
    assert str(destination_of(text)) == url


def test_what_is_no_url_is_an_application_entity() -> None:
    assert destination_of("ARCHIVE@10.0.0.5:104") == Peer("ARCHIVE", "10.0.0.5", 104)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "http://archive.example/dicom-web",
            "https://",
            "https:///path",
            "https://host:0/",
            "https://host:x/",
        ),
        *(
            "".join(("https://user:", "secret@host/")),
            "https://host/?token=secret",
            "https://host/#secret",
            "https://ho st/",
        ),
        *("https://ho st/", "https://[::1", "ftp://host", "https://host\n/x"),
    ],
)
def test_others_are_refused_and_no_password_is_repeated(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        destination_of(text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "header"),
    [("abc.DEF-1==", "Bearer abc.DEF-1=="), ("node:pass:word", "Basic bm9kZTpwYXNzOndvcmQ=")],
)
def test_a_token_or_a_password_is_told_and_never_shown(text: str, header: str) -> None:
    token = ArchiveToken.parse(text)
    assert token.header == header
    assert header not in repr(token)


@pytest.mark.parametrize("text", ["", "two words", "a\nb", "a:b\r\nX: y", "ä"])
def test_what_is_no_token_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        ArchiveToken.parse(text)
    assert len(text) < 2 or text not in str(caught.value)
