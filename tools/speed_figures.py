"""The tables of docs/performance.md and docs/scale.md, from what ``benchmarks/speed.py`` wrote."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

Report: TypeAlias = Mapping[str, Any]
Table: TypeAlias = Sequence[Sequence[str]]

BASE = "usual, PyTorch"
"""What the others are compared with."""

FILMS = {"224": "224 pixels", "original": "as published"}


ARCHIVE = 10_000_000
"""Films of the archive that docs/scale.md reckons with."""

CLUSTERS = (16, 64, 256, 1024)
"""Sizes of clusters, in cores, that it reckons with."""


PASSES = 1.75
"""Passes of a network that a film takes: stage 1 for all, stage 2 for three in four."""


def milliseconds(row: Mapping[str, float]) -> str:
    """Return a median with its range."""
    return f"{row['median_ms']:.1f} ({row['min_ms']:.1f} to {row['max_ms']:.1f})"


def machine(report: Report) -> str:
    """Return what was measured on."""
    found = report["machine"]
    vnni = "with" if found["vnni"] else "without"
    return (
        f"Measured on {found['cpus']} cores of {found['processor']}, {vnni} VNNI; ONNX Runtime "
        f"{found['onnxruntime']}, PyTorch {found['pytorch']}; load before the run {found['load_before']}."
    )


def _against(parts: Mapping[str, Mapping[str, Any]], base: str) -> Table:
    rows = [["films", "", "ms a film: median (least to most)", f"times as fast as {base}"]]
    for films, ways in parts.items():
        for name, row in ways.items():
            ratio = ways[base]["median_ms"] / row["median_ms"]
            rows.append([films, name, milliseconds(row), f"{ratio:.1f}"])
    return rows


def single(report: Report) -> Table:
    """Return how long one film takes."""
    return _against({title: report[f"single_{name}"] for name, title in FILMS.items()}, BASE)


def batch(report: Report) -> Table:
    """Return how long a film of a batch takes."""
    return _against({"224 pixels": report["batch_224"]}, BASE)


def steps(report: Report) -> Table:
    """Return how long each step takes."""
    parts = [report[f"steps_{name}"] for name in FILMS]
    rows = [["ms: median (least to most)", *FILMS.values()]]
    rows += [[name, *(milliseconds(part[name]) for part in parts)] for name in parts[0]]
    return rows


def throughput(report: Report) -> Table:
    """Return films a second by threads, batches at once, workers and batch size."""
    rows = [["threads of a run", "batches at once", "workers", "batch size", "films a second"]]
    rows += [
        [
            *(str(row[name]) for name in ("threads", "parallel", "workers", "batch")),
            f"{row['films_per_second']:.1f}",
        ]
        for row in report["throughput_224"]
    ]
    return rows


def networks(report: Report) -> Table:
    """Return how long a pass takes with each engine."""
    parts = {"one film": report["network_batch_1"], "batch of 16": report["network_batch_16"]}
    return _against(parts, "ONNX Runtime, float32")


def roofline(report: Report) -> str:
    """Return what share of the peak of matrix products is reached."""
    found = report["roofline"]
    work = PASSES * found["network_gmac"]
    bound = work / found["gemm_gmac_per_s"]
    return (
        f"A pass has {found['network_gmac']:.2f} billion multiply-accumulates. In batches of 16 the network "
        f"reaches {found['reached_gmac_per_s']:.0f} billion a second, {found['share']:.0%} of what ONNX "
        f"Runtime's INT8 matrix product reaches on this machine ({found['gemm_gmac_per_s']:.0f}). The films "
        f"of these tables take {PASSES} passes on average, {work:.2f} billion multiply-accumulates: at that "
        f"rate {1000 * bound:.1f} ms a film, or {1 / bound:.0f} films a second, if nothing else took time."
    )


def processes(report: Report) -> Table:
    """Return how long whole processes take."""
    rows = [["whole process", "seconds: median (least to most)"]]
    for name, row in report["processes"].items():
        low, middle, high = (row[key] / 1000 for key in ("min_ms", "median_ms", "max_ms"))
        rows.append([f"`pneumocascade {name}`", f"{middle:.2f} ({low:.2f} to {high:.2f})"])
    return rows


def memory(report: Report) -> Table:
    """Return the largest resident size by the number of files."""
    rows = [["files", "peak, MB", "films a second, start included"]]
    rows += [
        [f"{row['files']:,}", str(row["peak_mb"]), f"{row['films_per_second']:.1f}"]
        for row in report["memory"]
    ]
    return rows


def many_files(report: Report) -> Table:
    """Return the largest resident size as the number of files grows."""
    rows = [["models", "files", "peak, MB"]]
    for key, title in (("bundled", "bundled"), ("tiny", "tiny")):
        rows += [[title, f"{row['files']:,}", str(row["peak_mb"])] for row in report["many"][key]]
    return rows


def page(report: Report) -> Table:
    """Return what a load of the web app's page weighs and takes, from what ``benchmarks/page.py`` wrote."""
    rows = [["visit", "compression", "requests", "kB", "first paint, ms", "useful, ms"]]
    visits = {"first": "first", "again": "again, with the browser's cache"}
    for row in report["page"]["rows"]:
        times = [
            f"{middle:,.0f} ({least:,.0f} to {most:,.0f})"
            for middle, least, most in (row["contentful_ms"], row["useful_ms"])
        ]
        weight = f"{row['bytes'][0] / 1000:,.0f}"
        rows.append([visits[row["visit"]], row["compression"], f"{row['requests'][0]:.0f}", weight, *times])
    return rows


def keras(report: Report) -> Table:
    """Return how a Keras model of stage 1's task compares."""
    parts = {"one film": report["keras"]["single"], "64 films": report["keras"]["batch"]}
    return _against(parts, "Keras model")


def variants(report: Report) -> Table:
    """Return what was tried, from what ``benchmarks/variants_of_speed.py`` wrote."""
    found = report["variants"]
    rows = [["", "what ships", "the other", "ratio"]]
    for key, title in (("batch_1", "one film at a time"), ("batch_16", "batches of 16")):
        ways = found["spinning"][key]
        cells = [f"{milliseconds(ways[name])} ms a film" for name in ("sleeping", "spinning")]
        ratio = ways["spinning"]["median_ms"] / ways["sleeping"]["median_ms"]
        rows.append([f"threads sleep, or spin: {title}", *cells, f"{ratio:.2f}"])
    decoding, averaging = found["decoding"], found["averaging"]
    title = (
        f"{decoding['films']} originals decoded whole, or ({decoding['reduced']} of them) reduced: reading"
    )
    times = [f"{decoding[name]} ms" for name in ("whole_ms", "reduced_ms")]
    rows.append([title, *times, f"{decoding['reduced_ms'] / decoding['whole_ms']:.2f}"])
    moved = f"{decoding['largest_move']}; {decoding['findings_changed']} findings changed"
    rows.append(["the same: largest change of P(pneumonia)", "-", moved, ""])
    ways = [averaging[name] for name in ("whole number", "fraction")]
    ratio = ways[1]["median_ms"] / ways[0]["median_ms"]
    title = "originals averaged by a whole number, or a fraction"
    rows.append([title, *(f"{milliseconds(way)} ms" for way in ways), f"{ratio:.1f}"])
    return rows


def sizing(report: Report) -> Table:
    """Return what an archive takes, reckoned from the rates of one machine, all of whose cores were busy."""
    cores = report["machine"]["cpus"]
    rows = [row for row in report["throughput_224"] if (row["workers"], row["batch"]) == (2, 1)]
    usual = max(rows, key=lambda row: int(row["parallel"]))
    rates = (usual["films_per_second"], report["memory"][-1]["films_per_second"])
    head = ["films", f"measured, films a second on {cores} cores", "films a core-second"]
    table = [[*head, f"{ARCHIVE:,} films: core-hours", *(f"hours on {size:,} cores" for size in CLUSTERS)]]
    for title, rate in zip(FILMS.values(), rates, strict=True):
        hours = ARCHIVE * cores / rate / 3600
        cells = [f"{rate:.1f}", f"{rate / cores:.1f}", f"{hours:,.0f}"]
        table.append([title, *cells, *(f"{hours / size:.1f}" for size in CLUSTERS)])
    return table


ENGINES = {"cpu": "ONNX Runtime", "openvino": "OpenVINO"}


def actors(report: Report) -> Table:
    """Return what ``benchmarks/actors.py`` measured of actors, by engine."""
    rows = [["", *(ENGINES[name] for name in report["actors"]["engines"])]]
    found = list(report["actors"]["engines"].values())
    for key, title in (
        ("start_s", "start of Ray, s"),
        ("load_s", "start of an actor until its models are loaded, s"),
        ("film_ms", "a film in an actor, ms"),
        ("films_per_core_hour", "films a core-hour"),
        ("block", "films a block"),
        ("real_s", "two actors, measured, s"),
        ("simulated_s", "two actors, simulated, s"),
    ):
        rows.append([title, *(f"{one[key]:,}" for one in found)])
    return rows


def archive(report: Report) -> Table:
    """Return the simulated runs of an archive."""
    engines = report["actors"]["engines"]
    heads = [f"{ENGINES[name]}: {what}" for name in engines for what in ("hours", "actors busy")]
    rows = [["actors", *heads]]
    for number, row in enumerate(next(iter(engines.values()))["archive"]):
        runs = [one["archive"][number] for one in engines.values()]
        cells = [text for run in runs for text in (f"{run['hours']:,.2f}", f"{run['share']:.1%}")]
        rows.append([str(row["actors"]), *cells])
    return rows


BLOCKS: dict[str, Callable[[Report], str | Table]] = {
    f"speed_{made.__name__}": made
    for made in (
        machine,
        single,
        batch,
        steps,
        throughput,
        networks,
        roofline,
        processes,
        memory,
        many_files,
        keras,
        page,
        variants,
        actors,
        archive,
    )
}
BLOCKS["sizing"] = sizing


def blocks(load: Callable[[], Report], table: Callable[[Table], str]) -> dict[str, Callable[[object], str]]:
    """Return what writes each block; the report is read when it is asked for."""

    def writer(make: Callable[[Report], str | Table]) -> Callable[[object], str]:
        def write(_: object) -> str:
            made = make(load())
            return made if isinstance(made, str) else table(made)

        return write

    return {name: writer(make) for name, make in BLOCKS.items()}
