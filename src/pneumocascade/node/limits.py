"""How much a node takes, and how long it waits."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of what comes in from the network.

    Attributes
    ----------
    associations : int
        That are open at once; more are rejected (transient, local limit exceeded).
    pdu_bytes : int
        Largest PDU that is asked for.
    object_bytes : int
        Largest object; an association that sends more is aborted.
    in_flight_bytes : int
        What all associations together may have sent and not had answered; one that sends more is aborted.
    spool_bytes : int
        All objects in the spool; more are refused with status 0xA700 (out of resources).
    acse_seconds : float
        From a connection to its A-ASSOCIATE-RQ, TLS handshake included.
    network_seconds : float
        Longest silence of an association, and longest time for one PDU.
    pause_seconds : float
        Silence after which a study is judged although its association is open.
    """

    associations: int = 20
    pdu_bytes: int = 64 * 1024
    object_bytes: int = 256 * MIB
    in_flight_bytes: int = 512 * MIB
    spool_bytes: int = 10 * GIB
    acse_seconds: float = 10.0
    network_seconds: float = 60.0
    pause_seconds: float = 10.0

    @property
    def connections(self) -> int:
        """TCP connections that are open at once; more are closed at once."""
        return 2 * self.associations + 4

    @property
    def longest_pdu(self) -> int:
        """Largest PDU that is read: some senders take the limit for that of the value in it."""
        return max(2 * self.pdu_bytes, MIB)
