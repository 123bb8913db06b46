"""A server that is asked to stop does, though a page is open."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from pneumocascade.server import serving

CODE = """
import sys
from pneumocascade import Cascade
from pneumocascade.server import serve, serving
serving.GRACE_SECONDS = 2
serve(Cascade.load(threads=1), port=0)
"""


@pytest.mark.slow
def test_an_open_page_does_not_keep_a_server_from_stopping(tmp_path: Path) -> None:
    environment = {**os.environ, "PNEUMOCASCADE_STATE": str(tmp_path), "GRADIO_TEMP_DIR": str(tmp_path)}
    command = [sys.executable, "-c", CODE]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline().split()[3].rstrip("/").rsplit(":", 1)[1])
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as page:
                page.request("GET", "/gradio_api/heartbeat/a-page")  # a stream that never ends
                with page.getresponse() as stream:
                    assert stream.status == 200
                    server.send_signal(signal.SIGTERM)
                    server.wait(timeout=30)
        finally:
            server.kill()


def test_answers_in_work_have_time_to_end() -> None:
    assert 10 <= serving.GRACE_SECONDS <= 60  # systemd waits 90 seconds before it kills
