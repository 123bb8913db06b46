"""Films judged by Ray Data: actors hold a cascade each, blocks of films stream through them.

Ray moves names and answers, never films: each actor reads its films where they are. What runs in an actor
is :meth:`Cascade.predict_many`, on batches of the very films that it would get on one machine.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from pneumocascade import __version__
from pneumocascade.errors import EngineError, MissingExtraError, ModelError
from pneumocascade.imaging.uris import is_uri
from pneumocascade.inference.cascade import Cascade
from pneumocascade.model.engines.auto import resolve
from pneumocascade.model.store import Manifest, bundled_models, read_manifest
from pneumocascade.output.parquet import table_of, to_parquet_row
from pneumocascade.types import encodable

BLOCK = 256
"""Films a block at most: what is done anew where an actor dies."""

BLOCKS_PER_ACTOR = 4
"""Blocks that each actor gets at least, where there are films enough: none waits long for the last one."""

READERS = 4
"""Threads that read films in an actor; the films of an object store are mostly waited for."""

CONNECT_SECONDS = 10.0
"""Seconds within which a cluster must take a connection."""

STORE_BYTES = 512 << 20
"""Bytes of the object store of a local Ray, which holds names and answers."""


@dataclass(frozen=True, slots=True)
class Job:
    """Settings of every actor; :meth:`made_here` fills in what must be the same everywhere.

    Attributes
    ----------
    models : str or None
        Folder of models, which every machine must have; ``None`` for the bundled ones.
    manifest : Manifest
        Of the models on the machine that asks.
    package : str
        The version of this package there.
    folder : str
        The folder there that relative paths begin in.
    provider, operating_point : str
    gate : bool
    prior, threshold : float, optional
        By default the stored ones.
    batch_size : int, optional
        Films that go through a model at once; by default as many as is fastest.
    """

    models: str | None
    manifest: Manifest
    package: str
    folder: str
    provider: str = "cpu"
    operating_point: str = "balanced"
    gate: bool = True
    prior: float | None = None
    threshold: float | None = None
    batch_size: int | None = None

    @classmethod
    def made_here(cls, models: Path | None = None, **settings: Any) -> Job:
        """Return a job for the models, the package and the folder of this machine.

        Raises
        ------
        ModelError
            Where there are no models.
        """
        folder = None if models is None else str(models.resolve())
        manifest = read_manifest(models or bundled_models())
        if "provider" in settings:  # all machines judge with what is fastest on this one
            settings["provider"] = resolve(settings["provider"]).provider
        return cls(folder, manifest, __version__, str(Path.cwd()), **settings)


class CascadeActor:
    """An actor: a cascade, loaded once, and blocks of films through it.

    Parameters
    ----------
    job : Job

    Raises
    ------
    ModelError
        Where this machine has other models, or another version of the package, than the one that asks.
    """

    def __init__(self, job: Job) -> None:
        manifest = read_manifest(Path(job.models) if job.models is not None else bundled_models())
        if (manifest, __version__) != (job.manifest, job.package):
            raise ModelError(
                f"this machine has models {manifest.version} (SHA-256 {manifest.sha256}) of package "
                f"{__version__}, but the run was begun with models {job.manifest.version} "
                f"({job.manifest.sha256}) of package {job.package}: install the same on all machines"
            )
        cv2.setNumThreads(1)  # an actor is promised one core
        self._cascade = Cascade.load(job.models, threads=1, provider=job.provider)
        self._job = job

    def __call__(self, block: Any) -> Any:
        """Return the answers to a block, a table with a column ``source``, as a table."""
        job = self._job
        names = [_text(name) for name in block["source"].to_pylist()]
        places = [name if is_uri(name) else os.path.join(job.folder, name) for name in names]  # noqa: PTH118
        answers = self._cascade.predict_many(
            places,
            names=names,
            batch_size=job.batch_size,
            operating_point=job.operating_point,
            workers=READERS,
            gate=job.gate,
            prior=job.prior,
            threshold=job.threshold,
        )
        return table_of(to_parquet_row(answer) for answer in answers)


@contextlib.contextmanager
def connected(workers: int = 2, address: str | None = None) -> Iterator[Any]:
    """Give Ray, connected; a Ray that this process is connected to already is used, and left running.

    Parameters
    ----------
    workers : int
        Cores of a Ray that is started here.
    address : str, optional
        Of a cluster; by default a Ray is started here that listens on the loopback interface alone.

    Raises
    ------
    MissingExtraError
        Without Ray.
    EngineError
        Where the cluster cannot be reached.
    """
    ray = _import_ray(loopback=address is None)
    if ray.is_initialized():
        yield ray
        return
    _connect(ray, workers, address)
    try:
        yield ray
    finally:
        ray.shutdown()


def predict_on_ray(
    sources: Sequence[str], job: Job, *, workers: int = 2, address: str | None = None
) -> Iterator[dict[str, object]]:
    """Judge films on a Ray cluster, in order.

    A block whose actor or machine dies is given to another one.

    Parameters
    ----------
    sources : sequence of str
        Paths, which every machine must see, and URIs.
    job : Job
    workers : int
        Actors, of one core each.
    address : str, optional
        As for :func:`connected`.

    Yields
    ------
    dict
        One for each source, as :func:`pneumocascade.output.parquet.to_parquet_row` gives it.

    Raises
    ------
    MissingExtraError
        Without Ray.
    EngineError
        Where the cluster cannot be reached, or gives the run up.
    """
    with connected(workers, address) as ray:
        try:
            yield from _checked(_rows(ray, sources, job, workers), sources)
        except (ray.exceptions.RayError, ray.data.exceptions.ExecutionTimeoutError) as error:
            # Ray's message holds the traceback in the actor; what was raised there stands last.
            last = ([line for line in str(error).splitlines() if line.strip()] or [repr(error)])[-1]
            raise EngineError(
                f"Ray gave the run up, and the answers so far are kept: {last.strip()}"
            ) from error


def _import_ray(*, loopback: bool) -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "2")  # tries to connect, of 40 seconds each
    if loopback:
        # Ray reads this as it is imported, and then listens on 127.0.0.1 alone, on Linux, too.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    try:
        import pyarrow  # noqa: F401  Ray itself does without
        import ray
        import ray.data
        import ray.data.exceptions
        import ray.exceptions
    except ImportError as error:
        raise MissingExtraError("--engine ray", "ray") from error
    for handler in logging.getLogger("ray.data").handlers:
        # Ray's own: others' may hang there too. The log file of the session has everything.
        if isinstance(handler, logging.StreamHandler) and type(handler).__module__.startswith("ray."):
            handler.setLevel(logging.CRITICAL)
    return ray


def _connect(ray: Any, workers: int, address: str | None) -> None:
    if address is not None:
        _check_listening(address)
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        settings |= {"num_cpus": workers, "include_dashboard": False, "object_store_memory": STORE_BYTES}
    try:
        ray.init(address=address or "local", **settings)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        what = "Ray cannot be started here" if address is None else f"there is no Ray at {address}"
        raise EngineError(f"{what}: {error}") from error


def _check_listening(address: str) -> None:
    """Check that something listens: Ray itself asks for a quarter of an hour."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        return  # "auto"
    try:
        place = (host.rpartition("/")[2].strip("[]"), int(port))
        socket.create_connection(place, timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise EngineError(f"there is no Ray at {address}: {error}") from error


def _rows(ray: Any, sources: Sequence[str], job: Job, workers: int) -> Iterator[dict[str, object]]:
    if not sources:
        return
    blocks = list(_blocks(sources, job.batch_size or 1, workers))
    dataset = ray.data.from_arrow(blocks).map_batches(
        CascadeActor,
        fn_constructor_args=(job,),
        batch_size=None,  # a block as it is
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=min(workers, len(blocks))),
        num_cpus=1,
        num_gpus=1 if job.provider == "cuda" else 0,
    )
    dataset.context.execution_options.preserve_order = True
    dataset.context.enable_progress_bars = False  # the command line has its own
    for table in dataset.iter_batches(batch_size=None, batch_format="pyarrow"):
        yield from table.to_pylist()


def block_size(films: int, batch_size: int, workers: int) -> int:
    """Return how many films a block has: whole batches, and blocks enough for all actors."""
    share = -(-films // (batch_size * workers * BLOCKS_PER_ACTOR))
    return batch_size * max(1, min(BLOCK // batch_size, share))


def _blocks(sources: Sequence[str], batch_size: int, workers: int) -> Iterator[Any]:
    """Yield tables of names, of whole batches each, so that films meet in batches as on one machine."""
    import pyarrow as pa

    size = block_size(len(sources), batch_size, workers)
    for start in range(0, len(sources), size):
        names = [_bytes(name) for name in sources[start : start + size]]
        yield pa.table({"source": pa.array(names, pa.binary())})


def _bytes(name: str) -> bytes:
    # A name that is not text holds lone surrogates, which Arrow's strings cannot.
    return name.encode("utf-8", "surrogatepass")


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogatepass")


def _checked(rows: Iterable[dict[str, object]], sources: Sequence[str]) -> Iterator[dict[str, object]]:
    """Yield rows as long as each is the answer to the film whose turn it is."""
    left = iter(sources)
    for row in rows:
        if (source := next(left, None)) is None or row["source"] != encodable(source):
            raise EngineError(f"Ray gave an answer to {row['source']!r} in the turn of {source!r}")
        yield row
    if (source := next(left, None)) is not None:
        raise EngineError(f"Ray gave no answer to {source!r} and what comes after it")
