"""What goes with the answers, the figures for Prometheus, and the API's description held against itself."""

from __future__ import annotations

import base64
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import schemathesis
import schemathesis.specs.openapi.schemas
from fastapi.testclient import TestClient
from hypothesis import assume, given, settings
from PIL import Image

import pneumocascade
from pneumocascade import Cascade
from pneumocascade.audit.history import History
from pneumocascade.explain.saliency import overlay
from pneumocascade.imaging.read import read_radiograph
from pneumocascade.server import predictions
from pneumocascade.server.app import create_app
from pneumocascade.server.batcher import Batcher
from tests.imaging.dicom.objects import report, to_bytes
from tests.reports.sources import MEANS, PLANTED, film_of, planted
from tests.server.test_batcher import FILMS, SECONDS, Watched

URL = "/api/v1/predictions"


@pytest.fixture
def client(models: Path) -> Iterator[TestClient]:
    with TestClient(create_app(Cascade.load(models, threads=1), with_web=False)) as client:
        yield client


@pytest.fixture
def real(cascade: Cascade) -> Iterator[TestClient]:
    with TestClient(create_app(cascade, with_web=False)) as client:
        yield client


EXAMPLES = sorted((Path(pneumocascade.__file__).parent / "examples").glob("person*"))


def opened(uri: str) -> Image.Image:
    head, _, data = uri.partition(",")
    assert head == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(data, validate=True)))


@pytest.mark.parametrize(
    "include", [["saliency", "pictures"], ["saliency,pictures"], [" pictures , saliency"]]
)
def test_maps_and_pictures_are_those_of_the_cascade(
    real: TestClient, cascade: Cascade, include: list[str]
) -> None:
    film = EXAMPLES[0]
    response = real.post(URL, files={"files": ("a", film.read_bytes())}, params={"include": include})
    (found,) = response.json()["predictions"]
    expected = cascade.predict(film)
    assert expected.stage1 is not None and expected.stage1.activation_map is not None
    assert set(found["saliency"]) == {"stage1", "stage2"}
    np.testing.assert_allclose(found["saliency"]["stage1"]["map"], expected.stage1.activation_map, atol=1e-3)
    assert found["saliency"]["stage1"]["margin"] == expected.stage1.margin
    assert set(found["pictures"]) == {"film", "verdict", "stage1", "stage2"}
    radiograph = read_radiograph(film)
    sizes = {name: opened(uri).size for name, uri in found["pictures"].items()}
    height = min(1024, radiograph.height)
    assert sizes["film"] == sizes["stage1"] == sizes["stage2"]
    assert sizes["film"][1] == height
    if height == radiograph.height:
        shown = np.asarray(opened(found["pictures"]["stage1"]), int)
        assert np.abs(shown - overlay(radiograph, expected.stage1)).max() <= 2


def test_only_what_is_asked_for_is_enclosed(client: TestClient) -> None:
    def found(*include: str) -> list[dict[str, object]]:
        files = [("files", (name, FILMS[name])) for name in ("normal", "small", "broken")]
        rows = client.post(URL, files=files, params={"include": list(include)}).json()["predictions"]
        assert [row["status"] for row in rows] == ["ok", "refused", "error"]
        return list(rows)

    assert not any({"saliency", "pictures"} & set(row) for row in found())
    saliency, refused, error = found("saliency")
    assert "saliency" in saliency and "pictures" not in saliency
    assert refused["saliency"] == {} and "saliency" not in error
    normal, small, broken = found("pictures")
    assert set(normal["pictures"]) >= {"film", "verdict"}  # type: ignore[call-overload]
    assert set(small["pictures"]) == {"film", "verdict"}  # type: ignore[call-overload]
    assert "pictures" not in broken


def test_a_dicom_film_is_judged_and_nothing_tells_who_the_patient_is(
    models: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    stream = io.BytesIO()
    planted(film_of(MEANS["viral"])).save_as(stream, enforce_file_format=True)
    history = History(tmp_path / "history.sqlite3")
    audited = Cascade.load(models, threads=1, recorder=history.add)
    files = [("files", ("a.dcm", stream.getvalue())), ("files", ("b.dcm", stream.getvalue()[:2500]))]
    with TestClient(create_app(audited, with_web=False)) as client, closing(history):
        answer = client.post(URL, files=files, params={"include": "saliency,pictures"})
        assert [row["status"] for row in answer.json()["predictions"]] == ["ok", "error"]
        assert answer.json()["predictions"][0]["aetiology"] == "viral"
        texts = [answer.text, client.get("/metrics").text, caplog.text, *capfd.readouterr()]
        assert len(list(history.entries())) == 2
    texts += [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    assert not [text for text in texts if PLANTED in text]


def test_fhir_is_given_to_who_accepts_it(client: TestClient) -> None:
    film = ("files", ("DOE.png", FILMS["normal"]))
    one = client.post(URL, files=[film], headers={"Accept": "application/fhir+json; fhirVersion=4.0"})
    assert one.headers["content-type"] == "application/fhir+json; fhirVersion=4.0"
    assert one.json()["resourceType"] == "Bundle"
    assert "DOE" not in one.text
    two = client.post(URL, files=[film, film], headers={"Accept": "application/fhir+ndjson"})
    assert two.headers["content-type"].startswith("application/fhir+ndjson")
    assert [json.loads(line)["id"] for line in two.text.splitlines()] == [one.json()["id"]] * 2
    refused = client.post(URL, files=[film, film], headers={"Accept": "application/fhir+json"})
    assert refused.status_code == 422
    assert "there are 2 films" in refused.json()["detail"]


def test_an_archive_stands_for_its_films(client: TestClient) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in ("viral", "small", "normal"):
            archive.writestr(f"../{name}.png", FILMS[name])
        archive.writestr("report", to_bytes(report()))
        archive.writestr("notes.txt", "notes")
    files = [("files", ("a.png", FILMS["normal"])), ("files", ("study.zip", stream.getvalue()))]
    found = client.post(URL, files=files, params={"include": "pictures"}).json()
    assert [row["source"] for row in found["predictions"]] == [
        "a.png",
        *(f"study.zip/../{name}.png" for name in ("viral", "small", "normal")),
    ]
    assert [row["status"] for row in found["predictions"]] == ["ok", "ok", "refused", "ok"]
    assert found["left_out"] == 1
    cut = client.post(URL, files={"files": ("study.zip", stream.getvalue()[:500])}).json()
    assert [row["status"] for row in cut["predictions"]] == ["error"]


def test_a_damaged_member_of_an_archive_costs_no_other_film_its_answer(client: TestClient) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("good.png", FILMS["normal"])
        archive.writestr("damaged.png", FILMS["viral"])
        archive.writestr("locked.png", FILMS["between"])
        archive.writestr("bomb.png", bytes(30_000_000), zipfile.ZIP_DEFLATED)
    data = bytearray(stream.getvalue())
    data[data.index(FILMS["viral"]) + 100] ^= 1
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        header = data.rindex(
            signature, 0, data.rindex(b"locked.png") if flags == 8 else data.index(b"locked.png")
        )
        data[header + flags] |= 1
    response = client.post(URL, files={"files": ("study.zip", bytes(data))})
    assert response.status_code == 200
    found = {row["source"].removeprefix("study.zip/"): row for row in response.json()["predictions"]}
    assert found.pop("good.png")["status"] == "ok"
    assert {name: row["error"]["code"] for name, row in found.items()} == dict.fromkeys(
        ("damaged.png", "locked.png", "bomb.png"), "unreadable_file"
    )


def test_an_archive_of_too_many_films_is_a_problem(client: TestClient) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for number in range(101):
            archive.writestr(f"{number}.png", b"no film")
    assert client.post(URL, files={"files": ("study.zip", stream.getvalue())}).status_code == 413


def test_what_cannot_be_enclosed_is_a_problem(client: TestClient) -> None:
    film = [("files", ("a", FILMS["normal"]))]
    odd = client.post(URL, files=film, params={"include": "saliency,heat"})
    assert odd.status_code == 422
    assert "'heat'" in odd.json()["detail"]
    many = client.post(URL, files=film * 11, params={"include": "pictures"})
    assert many.status_code == 413


def test_an_answer_that_does_not_come_is_a_problem(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions, "MAX_SECONDS", 0.05)
    watched = Watched(Cascade.load(models, threads=1))
    watched.release.clear()
    with TestClient(create_app(watched, with_web=False, batcher=Batcher(watched, workers=1))) as client:
        response = client.post(URL, files={"files": ("a", FILMS["normal"])})
        threading.Timer(0.2, watched.release.set).start()
        assert watched.release.wait(SECONDS)
    assert response.status_code == 504
    assert response.headers["content-type"] == "application/problem+json"


def test_figures_for_prometheus_add_up(client: TestClient) -> None:
    client.post(
        URL, files=[("files", (name, FILMS[name])) for name in ("normal", "viral", "small", "broken")]
    )
    client.post(URL)
    client.get("/api/v1/secret-name-of-a-patient")
    client.request("INVENTED", "/healthz")
    text = client.get("/metrics").text
    rows = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    for outcome in ("normal", "viral", "refused", "error"):
        assert float(rows[f'pneumocascade_films_total{{outcome="{outcome}"}}']) == 1
    assert float(rows["pneumocascade_film_seconds_count"]) == 4
    requests = 'pneumocascade_http_requests_total{{method="{}",route="{}",status="{}"}}'
    assert float(rows[requests.format("POST", URL, 200)]) == 1
    assert float(rows[requests.format("POST", URL, 422)]) == 1
    assert float(rows["pneumocascade_films_waiting"]) == 0
    assert 'method="other"' in text
    assert "secret" not in text
    assert "INVENTED" not in text


@pytest.mark.parametrize(
    "operation", ["POST /api/v1/predictions", *(f"GET {path}" for path in ("/api/v1/models", "/healthz"))]
)
def test_answers_are_as_the_description_says(models: Path, operation: str) -> None:
    app = create_app(Cascade.load(models, threads=1), with_web=False)
    described = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app)
    method, path = operation.split()

    @settings(max_examples=25, derandomize=True)
    @given(case=described[path][method].as_strategy())
    def check(case: schemathesis.Case[Any]) -> None:
        form: dict[str, Any] = case.body if isinstance(case.body, dict) else {}
        for name in ("operating_point", "prior", "threshold"):
            in_form, in_query = form.get(name), (case.query or {}).get(name)
            assume(in_form is None or in_query is None or in_form == in_query)  # no schema can say this
        both = {
            name: form.get(name, (case.query or {}).get(name)) for name in ("operating_point", "threshold")
        }
        assume(both["threshold"] is None or both["operating_point"] in (None, "balanced"))  # nor this
        assume(len(form.get("files", ())) <= predictions.MAX_WITH_PICTURES)  # nor this
        case.call_and_validate()

    check()


def test_the_description_is_openapi_3_1_and_promises_no_more_than_it_keeps(client: TestClient) -> None:
    found = client.get("/api/v1/openapi.json").json()
    assert found["openapi"].startswith("3.1")
    assert "Not intended for medical diagnosis" in found["info"]["description"]
    answers = found["paths"][URL]["post"]["responses"]
    problems = {"400", "403", "406", "408", "413", "415", "421", "422", "429", "501", "503", "504"}
    assert set(answers) == {"200", *problems}
    reference = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    assert all(answers[code]["content"] == reference for code in problems)


def test_a_prior_moves_probability_and_threshold(client: TestClient) -> None:
    def found(**settings: Any) -> dict[str, Any]:
        files = [("files", ("film", FILMS["normal"]))]
        answer: dict[str, Any] = client.post(URL, files=files, **settings).json()["predictions"][0]
        return answer

    plain = found()
    assert plain["prior"] == 0.5
    by_query, by_form = found(params={"prior": 0.1}), found(data={"prior": 0.1})
    for moved in (by_query, by_form):
        assert (moved["finding"], moved["prior"]) == (plain["finding"], 0.1)
        assert moved["stage1"]["threshold"] == pytest.approx(0.1)
    refused = client.post(
        URL, files=[("files", ("film", FILMS["normal"]))], params={"prior": 0.1}, data={"prior": 0.2}
    )
    assert refused.status_code == 422
    assert "two priors" in refused.text
    assert client.post(URL, files=[("files", ("f", b"x"))], params={"prior": 1}).status_code == 422


def test_a_threshold_of_ones_own_by_query_or_form(client: TestClient) -> None:
    films = [("files", ("film", FILMS["normal"]))]
    (plain,) = client.post(URL, files=films).json()["predictions"]
    lower = plain["stage1"]["probabilities"]["pneumonia"] / 2
    for where in ({"params": {"threshold": lower}}, {"data": {"threshold": lower}}):
        (answer,) = client.post(URL, files=films, **where).json()["predictions"]  # type: ignore[arg-type]
        assert answer["finding"] == "pneumonia"
        assert answer["operating_point"] == "custom"
        assert answer["stage1"]["threshold"] == lower
    for wrong in ("threshold=0", "threshold=1", "threshold=0.3&operating_point=sensitive"):
        assert client.post(f"{URL}?{wrong}", files=films).status_code == 422
