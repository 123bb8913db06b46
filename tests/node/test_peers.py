"""Who may send, and where results go, as it is written on the command line."""

from __future__ import annotations

import pytest

from pneumocascade import UsageError
from pneumocascade.node.peers import AllowList, Caller, Peer


@pytest.mark.parametrize(
    ("text", "peer"),
    [
        ("ARCHIVE@10.0.0.5:104", Peer("ARCHIVE", "10.0.0.5", 104)),
        ("MY PACS@pacs.example.org:11112", Peer("MY PACS", "pacs.example.org", 11112)),
        ("A@B@[::1]:104", Peer("A@B", "::1", 104)),
    ],
)
def test_a_destination_is_title_host_and_port(text: str, peer: Peer) -> None:
    assert Peer.parse(text) == peer
    assert Peer.parse(str(peer)) == peer


@pytest.mark.parametrize(
    "text",
    ["", "ARCHIVE", "ARCHIVE@host", "@host:104", "ARCHIVE@:104", "A@host:0", "A@host:65536", "A@host:x"],
)
def test_what_names_no_destination_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="AET@HOST:PORT"):
        Peer.parse(text)


@pytest.mark.parametrize("title", ["SEVENTEEN_LETTERS", "BACK\\SLASH", "UML\u00c4UT", "LINE\nFEED"])
def test_what_is_no_ae_title_is_refused(title: str) -> None:
    with pytest.raises(UsageError, match="no AE title"):
        Peer.parse(f"{title}@host:104")
    with pytest.raises(UsageError, match="no AE title"):
        Caller.parse(title)


def test_a_loopback_address_takes_everybody_and_others_nobody_unless_told() -> None:
    for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost"):
        assert AllowList.parse([], host).allows("WHOEVER", "127.0.0.1")
    for host in ("0.0.0.0", "::", "10.0.0.5", "node.example.org"):
        with pytest.raises(UsageError, match="--allow any"):
            AllowList.parse([], host)
        assert AllowList.parse(["any"], host).allows("WHOEVER", "203.0.113.9")


def test_title_and_address_must_both_be_those_of_an_entry() -> None:
    allowed = AllowList.parse(["CT1@10.0.0.7", "DX2", "DX3@::1"], "0.0.0.0")
    assert allowed.allows("CT1", "10.0.0.7")
    assert allowed.allows("CT1 ", "::ffff:10.0.0.7")
    assert allowed.allows("DX2", "203.0.113.9")
    assert allowed.allows("DX3", "::1")
    for title, address in [("CT1", "10.0.0.8"), ("ct1", "10.0.0.7"), ("DX3", "::2"), ("", "10.0.0.7")]:
        assert not allowed.allows(title, address)


@pytest.mark.parametrize("entry", ["CT1@host.example.org", "CT1@", "CT1@10.0.0.0/8", "@10.0.0.1"])
def test_an_entry_that_allows_nobody_is_refused(entry: str) -> None:
    with pytest.raises(UsageError):
        AllowList.parse([entry], "127.0.0.1")
    with pytest.raises(UsageError, match="without other entries"):
        AllowList.parse(["any", "CT1"], "127.0.0.1")
