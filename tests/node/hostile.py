"""Bytes of DICOM's upper layer, right and wrong, for callers that misbehave."""

from __future__ import annotations

import socket
import struct

from tests.node.programs import CALLED

CR = "1.2.840.10008.5.1.4.1.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
"""CT Image Storage, which the node does not take."""
EXPLICIT = "1.2.840.10008.1.2.1"


def _item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(content)) + content


def request(
    called: str = CALLED,
    calling: str = "HOSTILE",
    *,
    abstract: str = CR,
    syntax: str = EXPLICIT,
) -> bytes:
    """Return an A-ASSOCIATE-RQ with one presentation context, number 1 (PS3.8, 9.3.2)."""
    context = bytes([1, 0, 0, 0]) + _item(0x30, abstract.encode()) + _item(0x40, syntax.encode())
    user = _item(0x51, struct.pack(">I", 16384)) + _item(0x52, b"1.2.3")
    content = struct.pack(">HH", 1, 0) + called.ljust(16).encode() + calling.ljust(16).encode() + b"\0" * 32
    content += _item(0x10, b"1.2.840.10008.3.1.1.1") + _item(0x20, context) + _item(0x50, user)
    return pdu(1, content)


def pdu(kind: int, content: bytes, *, announced: int | None = None) -> bytes:
    """Return a PDU, which may announce another length than it has."""
    return struct.pack(">BBI", kind, 0, len(content) if announced is None else announced) + content


def data(content: bytes, *, command: bool = False, last: bool = False, context: int = 1) -> bytes:
    """Return a P-DATA-TF with one fragment (PS3.8, 9.3.5)."""
    value = bytes([context, command | last << 1]) + content
    return pdu(4, struct.pack(">I", len(value)) + value)


def command(uid: str, *, abstract: str = CR) -> bytes:
    """Return the command set of a C-STORE-RQ (PS3.7, 9.3.1), in implicit little endian."""

    def element(number: int, value: bytes) -> bytes:
        return struct.pack("<HHI", 0, number, len(value)) + value

    def even(text: str) -> bytes:
        return text.encode() + b"\0" * (len(text) % 2)

    elements = element(0x0002, even(abstract)) + element(0x0100, struct.pack("<H", 1))
    elements += element(0x0110, struct.pack("<H", 1)) + element(0x0700, struct.pack("<H", 0))
    elements += element(0x0800, struct.pack("<H", 1)) + element(0x1000, even(uid))
    return element(0x0000, struct.pack("<I", len(elements))) + elements


def object_of(uid: str, content: bytes, *, fragment: int = 10_000) -> bytes:
    """Return a C-STORE-RQ: the command, and the object in fragments."""
    starts = range(0, len(content), fragment)
    parts = [data(command(uid), command=True, last=True)]
    parts += [data(content[start : start + fragment], last=start == starts[-1]) for start in starts]
    return b"".join(parts)


def status_in(answer: bytes) -> int:
    """Return the status of a C-STORE-RSP, in implicit little endian."""
    place = answer.index(b"\0\0\0\x09\x02\0\0\0") + 8  # the element Status (0000,0900)
    return int.from_bytes(answer[place : place + 2], "little")


def connected(port: int, seconds: float = 15) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), seconds)


def associated(port: int, **wanted: str) -> socket.socket:
    """Return a connection whose association was accepted; its context need not be. See :func:`request`."""
    caller = connected(port)
    caller.sendall(request(**wanted))
    assert caller.recv(6)[0] == 2, "the association was not accepted"
    caller.recv(65536)
    return caller


def ended(caller: socket.socket) -> bytes:
    """Return what comes until the other side ends the connection, which it must do."""
    content = b""
    try:
        while piece := caller.recv(65536):
            content += piece
    except ConnectionError:
        pass  # reset: it ended, too
    return content
