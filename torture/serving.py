"""A server in a process of its own, and requests to it."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

URL = "/api/v1/predictions"

BOUNDARY = "film-film"

HEADERS = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


class Answer(NamedTuple):
    """What a server said.

    Attributes
    ----------
    status : int
    retry_after : int
        Seconds; 0 where it did not say.
    text : bytes
    """

    status: int
    retry_after: int
    text: bytes


def body_of(films: Mapping[str, bytes]) -> bytes:
    """Return the body of a request."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="{{}}"\r\n\r\n'
    parts = (head.format(name).encode() + content + b"\r\n" for name, content in films.items())
    return b"".join((*parts, f"--{BOUNDARY}--\r\n".encode()))


def post(port: int, film: bytes, *, seconds: float = 60) -> Answer:
    """Ask for one film's answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request("POST", URL, body_of({"film": film}), HEADERS)
        response = connection.getresponse()
        wait = response.headers.get("Retry-After", "")
        return Answer(response.status, int(wait) if wait.isdigit() else 0, response.read())
    finally:
        connection.close()


class Server(NamedTuple):
    """Where a server is.

    Attributes
    ----------
    port : int
    session : int
        That all its processes belong to.
    """

    port: int
    session: int


@contextmanager
def running(
    options: Sequence[str],
    variables: Mapping[str, str],
    log: Path,
    *,
    expected: str = "",
    seconds: float = 60,
) -> Iterator[Server]:
    """Run ``serve``, which must end when asked to, with no failure in its log but those with ``expected``."""
    port = free_port()
    with started(port, options, variables, log) as server:
        wait_until_ready(port, server)
        yield Server(port, server.pid)
        server.send_signal(signal.SIGTERM)
        server.wait(seconds)
    text = log.read_text(encoding="utf-8")
    failed = [line for line in text.splitlines() if " ERROR " in line and not (expected and expected in line)]
    check(not failed and "Traceback" not in text, text[-3000:])


@contextmanager
def started(
    port: int, options: Sequence[str], variables: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Start ``serve`` in a session of its own, of which nothing is left after the block."""
    command = (sys.executable, "-m", "pneumocascade", "serve", "--port", str(port), *options)
    environment = {**os.environ, **variables}
    with log.open("wb") as stream:
        server = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=stream, start_new_session=True
        )
    try:
        yield server
    finally:
        server.kill()
        server.wait()


def check(holds: bool, what: str) -> None:
    """Stop where something does not hold."""
    if not holds:
        raise RuntimeError(what)


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_until_ready(port: int, server: subprocess.Popen[bytes]) -> None:
    """Wait for a server's models."""
    deadline = time.monotonic() + 60
    while not _is_ready(port):
        check(server.poll() is None, f"the server ended with status {server.returncode}")
        check(time.monotonic() < deadline, "the server did not start")
        time.sleep(0.05)


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as response:
            return bool(response.status == 200)
    except OSError:  # not listening, or the web app is not built yet
        return False


def processes_of(session: int) -> Sequence[int]:
    """Return the processes of a session that have not ended."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(entry.name))
    return found
