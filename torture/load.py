"""Many clients at once, good films, refused ones and bad ones among them, and clients that misbehave.

    python -m torture.load kermany224 --clients 64 --seconds 600 --output docs/data/torture-load.json

A server with the bundled models runs as ``serve`` does, in a process of its own. Each client posts one to
three files at a time, mixed at random, and holds every answer against the one that the cascade gave before,
one film at a time. Meanwhile others send a byte a second, go away in the middle of a request or before its
answer, never read it, and send more than is allowed. What must hold: no wrong answer; no status but 200, or
503 with ``Retry-After``; who sends a byte a second is cut off; the server answers at the end as at the
beginning, its log tells of no failure, and its memory has stopped growing. Needs Linux.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import socket
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.timing import machine, some
from pneumocascade import Cascade
from torture.serving import HEADERS, URL, body_of, check, processes_of, running

TOLERANCE = 1e-3

SLOW_SECONDS = 60
"""Time by which the server must have cut off who sends a byte a second."""

GROWTH = 1.1
"""Memory in the last third of the time, as a multiple of that in the second."""


@dataclass
class Seen:
    """What the clients saw, all together."""

    expected: dict[str, dict[str, Any]]
    contents: dict[str, bytes]
    port: int
    over: threading.Event = field(default_factory=threading.Event)
    statuses: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    films: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


def contents_of(folder: Path) -> dict[str, bytes]:
    """Return good films, refused ones and bad ones by name."""
    good = {f"film {number}": path.read_bytes() for number, path in enumerate(some(folder, 60))}
    rng = np.random.default_rng(0)
    whole = next(iter(good.values()))
    bad = {"noise": rng.bytes(5000), "empty": b"", "text": b"no film at all"}
    bad |= {f"cut {share}": whole[: len(whole) * share // 100] for share in (10, 50, 90)}
    for number in range(5):
        flipped = bytearray(whole)
        for place in rng.integers(0, len(whole), 20):
            flipped[place] ^= 1 << int(rng.integers(8))
        bad[f"flipped {number}"] = bytes(flipped)
    return good | bad


def same(answer: Any, expected: Any) -> bool:
    """Return whether two answers are the same, numbers within ``TOLERANCE``, but for the time."""
    if isinstance(expected, dict):
        keys = set(expected) - {"elapsed_ms"}
        return set(answer) - {"elapsed_ms"} == keys and all(same(answer[key], expected[key]) for key in keys)
    if isinstance(expected, list):
        return len(answer) == len(expected) and all(map(same, answer, expected))
    if isinstance(expected, float):
        return bool(abs(answer - expected) <= TOLERANCE)
    return bool(answer == expected)


def client(seen: Seen, seed: int) -> None:
    """Post films until it is over."""
    rng = random.Random(seed)
    connection = http.client.HTTPConnection("127.0.0.1", seen.port, timeout=120)
    while not seen.over.is_set():
        names = rng.sample(sorted(seen.contents), rng.randint(1, 3))
        began = time.perf_counter()
        try:
            connection.request("POST", URL, body_of({name: seen.contents[name] for name in names}), HEADERS)
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            _note(seen, f"connection: {type(error).__name__}")
            connection.close()
            continue
        _judge(seen, names, response, text, time.perf_counter() - began)
        if response.status == 503:
            time.sleep(rng.uniform(0.1, 0.5))
    connection.close()


def _note(seen: Seen, status: str) -> None:
    with seen.lock:
        seen.statuses[status] += 1


def _judge(
    seen: Seen, names: list[str], response: http.client.HTTPResponse, text: bytes, seconds: float
) -> None:
    status = str(response.status)
    if response.status == 503 and not response.headers.get("Retry-After", "").isdigit():
        status = "503 without Retry-After"
    wrong = []
    if response.status == 200:
        answers = json.loads(text)["predictions"]
        expected = [seen.expected[name] for name in names]
        wrong = [] if same(answers, expected) else [f"{names}: {answers} instead of {expected}"]
    with seen.lock:
        seen.statuses[status] += 1
        seen.wrong += wrong
        if response.status == 200:
            seen.seconds.append(seconds)
            seen.films += len(names)


def nuisance(seen: Seen, seed: int) -> None:
    """Open connections that misbehave, one kind after the other, until it is over."""
    rng = random.Random(seed)
    body = body_of({"film": next(iter(seen.contents.values()))})
    head = f"POST {URL} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {HEADERS['Content-Type']}\r\n"
    whole = head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
    kinds = ("vanishes before the answer", "vanishes in the body", "reads nothing", "too large", "slow")
    while not seen.over.is_set():
        kind = rng.choice(kinds)
        try:
            with socket.create_connection(("127.0.0.1", seen.port), timeout=5) as connection:
                if kind == "vanishes before the answer":
                    connection.sendall(whole)
                elif kind == "vanishes in the body":
                    connection.sendall(whole[: rng.randrange(len(whole))])
                elif kind == "reads nothing":
                    connection.sendall(whole)
                    seen.over.wait(5.0)
                elif kind == "slow":
                    # Some are slow from the head on, the others in the body.
                    start = rng.choice((1, len(whole) - len(body)))
                    connection.sendall(whole[:start])
                    kind = _told_off(connection, whole[start:], seen)
                else:
                    connection.sendall(head.encode() + b"Content-Length: 999999999999\r\n\r\n")
                    answer = connection.recv(100)
                    if b" 413 " not in answer:
                        kind = f"too large, answered by {answer!r}"
        except OSError:
            _note(seen, f"nuisance refused: {kind}")
        else:
            _note(seen, f"nuisance: {kind}")


def _told_off(connection: socket.socket, rest: bytes, seen: Seen) -> str:
    """Go on with a byte a second; return how that ended."""
    connection.settimeout(1.0)
    for second in range(SLOW_SECONDS):
        try:
            answer = connection.recv(100)
        except TimeoutError:
            connection.sendall(rest[second : second + 1])
        else:
            cut_off = answer == b"" or b" 408 " in answer
            return "a byte a second, cut off" if cut_off else f"a byte a second, answered by {answer!r}"
        if seen.over.is_set():
            return f"a byte a second, at the end not yet cut off after {second} s"
    return "a byte a second, never cut off"


def memory_of(session: int) -> float:
    """Return the resident memory of a session's processes, in megabytes."""
    total = 0
    for process in processes_of(session):
        try:
            pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
        except OSError:  # it ended meanwhile
            continue
        total += pages * os.sysconf("SC_PAGE_SIZE")
    return total / 2**20


def press(seen: Seen, session: int, clients: int, seconds: float) -> list[float]:
    """Let clients in for some seconds; return the server's memory over time, in megabytes."""
    threads = [threading.Thread(target=client, args=(seen, seed)) for seed in range(clients)]
    threads += [threading.Thread(target=nuisance, args=(seen, seed)) for seed in range(4)]
    for thread in threads:
        thread.start()
    memory = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(min(5.0, seconds / 20))
        memory.append(round(memory_of(session), 1))
    seen.over.set()
    for thread in threads:
        thread.join(150)
    return memory


def main() -> None:
    """Press, check, and write what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("films", type=Path)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    before = machine()
    contents = contents_of(arguments.films)
    cascade = Cascade.load()
    expected = {name: cascade.predict(content, name=name).to_dict() for name, content in contents.items()}
    with tempfile.TemporaryDirectory() as folder:
        variables = {"PNEUMOCASCADE_STATE": folder, "TMPDIR": folder}
        with running((), variables, Path(folder) / "server.log") as server:
            seen = Seen(expected, contents, server.port)
            memory = press(seen, server.session, arguments.clients, arguments.seconds)
            after = Seen(expected, contents, server.port)
            threading.Timer(5.0, after.over.set).start()
            client(after, 1)
    settings = {"clients": arguments.clients, "seconds": arguments.seconds}
    report = {"machine": before} | summary(seen, memory) | settings
    arguments.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1))
    check(not seen.wrong, f"{len(seen.wrong)} wrong answers, the first: {seen.wrong[:1]}")
    allowed = {"200", "503"} | {status for status in seen.statuses if status.startswith("nuisance")}
    bad = {status for status in seen.statuses if "answered by" in status or "never cut off" in status}
    check(set(seen.statuses) <= allowed - bad, f"statuses: {seen.statuses}")
    check(set(after.statuses) == {"200"}, f"afterwards: {after.statuses}")
    memory_mb = report["memory_mb"]
    check(memory_mb["last_third"] <= GROWTH * memory_mb["second_third"], f"memory grows: {memory_mb}")


def summary(seen: Seen, memory: list[float]) -> dict[str, Any]:
    """Return the figures."""
    p50, p95, p99 = (round(1000 * float(value)) for value in np.percentile(seen.seconds, (50, 95, 99)))
    third = max(1, len(memory) // 3)
    return {
        "answers": seen.films,
        "wrong": len(seen.wrong),
        "statuses": dict(sorted(seen.statuses.items())),
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "memory_mb": {
            "largest": max(memory),
            "second_third": round(float(np.mean(memory[third : 2 * third])), 1),
            "last_third": round(float(np.mean(memory[-third:])), 1),
        },
    }


if __name__ == "__main__":
    main()
