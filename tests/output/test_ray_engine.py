"""A run on two workers of a local Ray gives what a run in one process gives."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from pneumocascade import UsageError
from pneumocascade.cli import app
from pneumocascade.errors import EngineError, MissingExtraError, ModelError
from pneumocascade.output import ray_engine
from pneumocascade.output.parquet import rows_of, shards_of
from pneumocascade.output.ray_engine import (
    BLOCK,
    CascadeActor,
    Job,
    _blocks,
    _check_listening,
    _checked,
    connected,
    predict_on_ray,
)
from pneumocascade.types import encodable
from tests.conftest import EXAMPLES, vary_example
from tests.test_golden import EXPECTED, TOLERANCE
from tests.tiny_models import INVERTED_FROM, write_tiny_models

FILMS = 60
SHARD = 20


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_models(tmp_path_factory.mktemp("models"), gate=True)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Films of all brightnesses, and broken, missing, oddly named ones and URIs among them."""
    folder = tmp_path_factory.mktemp("films")
    names = []
    for index in range(FILMS):
        film = vary_example(index, 128, 128).astype(float)
        film = np.clip(film * (INVERTED_FROM + 40) * (index + 1) / FILMS / film.mean(), 0, 255)
        path = folder / f"{index:02}.png"
        Image.fromarray(film.astype(np.uint8)).save(path)
        if index % 7 == 3:
            path.write_bytes(path.read_bytes()[: 200 * (index % 3)])
        names.append(f"file://{path}" if index % 5 == 0 else str(path))
    (folder / "empty").mkdir()
    names[8] = str(folder / "empty")
    names[9] = str(folder / "not there.png")
    names[10] = "not there \udce9\n.png"
    names[11] = f"file://{folder}/not there.png"
    return names


def run(sources: list[str], *arguments: str | Path) -> Result:
    listed = "\n".join(name for name in sources if "\n" not in name)
    return CliRunner().invoke(app, ["predict", "-", *map(str, arguments)], input=listed)


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    with contextlib.ExitStack() as stack:
        try:
            ray = stack.enter_context(connected(workers=2))
        except MissingExtraError as error:
            pytest.skip(str(error))
        yield ray


def dying(name: str, marker: Path) -> type[CascadeActor]:
    """Return an actor that takes its process with it the first time that it meets a film."""

    class Dying(CascadeActor):
        def __call__(self, block: Any) -> Any:
            names = block["source"].to_pylist()
            if name.encode() in names and not marker.exists():
                marker.touch()
                os._exit(1)
            return super().__call__(block)

    return Dying


def without_time(folder: Path) -> list[dict[str, Any]]:
    return [{**row, "elapsed_ms": None} for row in rows_of(folder)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
def test_a_local_ray_keeps_to_itself(ray: Any) -> None:
    from ray._common.usage import usage_lib

    assert ray.util.get_node_ip_address() == "127.0.0.1"
    assert not usage_lib.usage_stats_enabled()
    assert ray.cluster_resources()["CPU"] == 2
    assert not ray.get_runtime_context().runtime_env, "nothing is to be uploaded"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
def test_rows_are_those_of_one_process_though_an_actor_dies_and_the_run_was_cut(
    ray: Any, models: Path, sources: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pneumocascade.output.parquet.ROWS", SHARD)
    monkeypatch.chdir(tmp_path)
    common = ("--models", models, "--batch-size", "4")
    here = run(sources, "--output", "here.parquet", *common)
    cut = run(sources[: SHARD + 1], "--output", "ray.parquet", *common)
    assert (here.exit_code, cut.exit_code) == (1, 1)
    assert len(list(rows_of(Path("ray.parquet")))) == SHARD, "one name, with a line end in it, is not listed"
    marker = tmp_path / "died"
    monkeypatch.setattr(ray_engine, "CascadeActor", dying(sources[40], marker))
    result = run(sources, "--output", "ray.parquet", "--resume", "--engine", "ray", *common)
    assert result.exit_code == 1, result.output
    assert marker.exists(), "the actor has not died"
    assert f"{SHARD} of {FILMS - 1} films have their answer" in result.stderr
    expected = without_time(Path("here.parquet"))
    assert {row["status"] for row in expected} == {"ok", "refused", "error"}
    assert {row["aetiology"] for row in expected} == {None, "bacterial", "viral"}
    assert without_time(Path("ray.parquet")) == expected
    assert [path.name for path in shards_of(Path("ray.parquet"))] == [
        path.name for path in shards_of(Path("here.parquet"))
    ]
    unread = sum(row["status"] == "error" for row in expected)
    assert f"{unread} of {FILMS - 1} could not be read" in result.stderr


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
def test_the_bundled_models_say_what_was_written_down(ray: Any, tmp_path: Path) -> None:
    result = run(list(map(str, EXAMPLES)), "--engine", "ray", "--output", tmp_path / "ray.parquet")
    assert result.exit_code == 0, result.output
    found = {Path(row["source"]).name: row for row in rows_of(tmp_path / "ray.parquet")}
    assert set(found) == set(EXPECTED)
    for name, row in found.items():
        expected = EXPECTED[name]
        assert (row["finding"], row["aetiology"]) == (expected["finding"], expected["aetiology"])
        probability = expected["stage1"]["probabilities"]["pneumonia"]
        assert row["probability_pneumonia"] == pytest.approx(probability, abs=TOLERANCE)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
def test_what_an_actor_raises_ends_the_run_in_one_line(
    ray: Any, models: Path, sources: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Raising(CascadeActor):
        def __init__(self, job: Job) -> None:
            raise ModelError("there are other models here")

    monkeypatch.setattr(ray_engine, "CascadeActor", Raising)
    with pytest.raises(EngineError, match=r"^Ray gave the run up.*ModelError: there are other models here$"):
        list(predict_on_ray(sources[:8], Job.made_here(models), workers=2))


@pytest.mark.parametrize("relative", [False, True])
def test_an_actor_answers_as_the_cascade_does(
    models: Path, sources: list[str], monkeypatch: pytest.MonkeyPatch, relative: bool
) -> None:
    pytest.importorskip("pyarrow")
    folder = Path(sources[1]).parent
    monkeypatch.chdir(folder)
    names = [Path(name).name for name in sources[31:35]] if relative else sources
    job = Job.made_here(models, batch_size=4)
    monkeypatch.chdir(folder.parent)  # as an actor may be anywhere
    actor = CascadeActor(job)
    rows = [row for block in _blocks(names, 4, 2) for row in actor(block).to_pylist()]
    assert [row["source"] for row in rows] == [encodable(name) for name in names]
    assert "ok" in {row["status"] for row in rows}
    if not relative:
        assert [rows[index]["code"] for index in (8, 9, 10, 11)] == ["not_a_file", *["file_not_found"] * 3]


def test_a_machine_with_other_models_or_another_version_is_told_of(models: Path, tmp_path: Path) -> None:
    job = Job.made_here(models)
    with pytest.raises(ModelError, match=r"the run was begun with .* of package 0\.0: install the same"):
        CascadeActor(replace(job, package="0.0"))
    digests = {**job.manifest.sha256, "stage2": "0" * 64}
    with pytest.raises(ModelError, match="install the same"):
        CascadeActor(replace(job, manifest=replace(job.manifest, sha256=digests)))
    with pytest.raises(ModelError, match="there are no models in"):
        CascadeActor(replace(job, models=str(tmp_path)))


@pytest.mark.parametrize(
    ("films", "batch", "workers"), [(1, 16, 2), (60, 4, 2), (5000, 16, 2), (999, 300, 3)]
)
def test_blocks_hold_whole_batches_for_all_actors(films: int, batch: int, workers: int) -> None:
    pytest.importorskip("pyarrow")
    names = [f"{index}.png" for index in range(films)]
    blocks = [block["source"].to_pylist() for block in _blocks(names, batch, workers)]
    assert [name.decode() for block in blocks for name in block] == names
    assert all(len(block) % batch == 0 for block in blocks[:-1])
    assert all(len(block) <= max(BLOCK, batch) for block in blocks)
    assert len(blocks) >= min(2 * workers, -(-films // batch))


def test_an_answer_out_of_turn_is_never_passed_on() -> None:
    rows: list[dict[str, object]] = [{"source": name} for name in ("a", "b", "c")]
    assert list(_checked(rows, ["a", "b", "c"])) == rows
    for sources in (["a", "c", "b"], ["a", "b"], ["a", "b", "c", "d"]):
        with pytest.raises(EngineError, match="Ray gave"):
            list(_checked(rows, sources))


def test_an_address_where_nobody_listens_is_told_of_at_once() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{held.getsockname()[1]}"
        with pytest.raises(EngineError, match=f"there is no Ray at {address}"):
            _check_listening(address)
        held.listen()
        _check_listening(address)
        _check_listening(f"ray://{address}")
    _check_listening("auto")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engine", "ray"], "not parquet to standard output"),
        (["--engine", "ray", "--output", "a.csv"], "a folder of Parquet files, not csv"),
        (["--engine", "ray", "--format", "jsonl"], "not jsonl to standard output"),
        (["--engine", "ray", "--output", "a.parquet", "--save-pictures", "b"], "--save-pictures"),
        (["--ray-address", "127.0.0.1:1"], "--ray-address goes with --engine ray"),
    ],
)
def test_what_does_not_go_with_ray_is_refused(arguments: list[str], message: str, chest_png: Path) -> None:
    result = CliRunner().invoke(app, ["predict", str(chest_png), *arguments])
    assert isinstance(result.exception, UsageError)
    assert message in str(result.exception)


@pytest.mark.parametrize("missing", ["ray", "pyarrow"])
def test_without_the_extra_it_says_so(
    missing: str, models: Path, chest_png: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    result = run(
        [str(chest_png)], "--engine", "ray", "--models", models, "--output", tmp_path / "answers.parquet"
    )
    assert isinstance(result.exception, MissingExtraError)
    assert "pip install 'pneumocascade[ray]'" in str(result.exception)
    assert not (tmp_path / "answers.parquet").exists()
