"""The command as it runs: killed in the middle of an upload it loses nothing that it said it has."""

from __future__ import annotations

from pathlib import Path

import httpx
import numpy as np
import pytest
from dicomweb_client.api import DICOMwebClient
from typer.testing import CliRunner

from pneumocascade import UsageError
from pneumocascade.cli import app
from tests.node.dicomweb.conftest import MULTIPART, body_of, film
from tests.node.dicomweb.test_hostile_requests import request_of
from tests.node.hostile import connected
from tests.node.processes import node_process, wait_until_up
from tests.node.programs import free_port, wait_for
from tests.reports.sources import MEANS, film_object, film_of, saved


@pytest.mark.slow
def test_a_node_that_is_killed_in_the_middle_of_an_upload_loses_nothing(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = "a-token-of-the-tests"
    monkeypatch.setenv("PNEUMOCASCADE_TOKEN", token)
    port, web, log, spool = free_port(), free_port(), tmp_path / "log", tmp_path / "spool"
    options = ["--dicomweb-port", str(web), "--models", str(tiny_folder), "--spool", str(spool)]
    url, headers = f"http://127.0.0.1:{web}/dicomweb", {"Authorization": f"Bearer {token}"}
    small = film()
    large = body_of(saved(film_object(np.kron(film_of(MEANS["viral"]), np.ones((8, 8), np.uint8)))))
    head = request_of(len(large), b"").replace(b"\r\n", f"\r\nAuthorization: Bearer {token}\r\n".encode(), 1)

    def send(body: bytes) -> httpx.Response:
        kind = {"Content-Type": MULTIPART}
        return httpx.post(f"{url}/studies", content=body, headers=headers | kind, trust_env=False)

    with node_process(port, options, log) as process:
        wait_until_up(process, web, log)
        with connected(web) as caller:
            caller.sendall(head + large[: len(large) // 2])
            wait_for(lambda: bool(list(spool.rglob("*.part"))))
            assert send(body_of(saved(small))).status_code == 200
            process.kill()
    assert list(spool.rglob("*.part"))
    with node_process(port, options, log) as process:
        wait_until_up(process, web, log)
        assert list(spool.rglob("*.part")) == []
        assert send(large + b"behind the end").status_code == 200
        assert send(body_of(saved(small))).status_code == 200
        client = DICOMwebClient(url, headers=headers)
        wait_for(lambda: len(client.search_for_instances()) == 4, 60)
        assert len(client.retrieve_study(small.StudyInstanceUID)) == 2
        process.terminate()
        assert process.wait(60) == 0
    assert "Traceback" not in log.read_text(encoding="utf-8")
    assert len(list((spool / "films").iterdir())) == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("", "--dicomweb-port"),
        ("--host 0.0.0.0 --allow any --dicomweb-port 1", "--token-file"),
        ("--destination A@127.0.0.1:1 --allow-host archive", "--dicomweb-port"),
        ("--destination http://archive.example/dicom-web", "https://"),
        ("--destination A@127.0.0.1:1 --destination-token-file token", "https destination"),
        (
            "--destination https://a/ --destination https://b/ --destination-token-file token",
            "but 2 are given",
        ),
    ],
)
def test_wrong_options_are_told(
    options: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("token").write_text("a-secret-token", encoding="ascii")
    done = CliRunner().invoke(app, ["node", *options.split()])
    assert isinstance(done.exception, UsageError)
    assert said in str(done.exception)
    assert "a-secret-token" not in str(done.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["token"]
