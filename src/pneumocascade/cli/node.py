"""``pneumocascade node``: a DICOM node."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from pneumocascade.cli.common import (
    TOKEN_VARIABLE,
    HistoryOption,
    ModelsOption,
    OperatingPointOption,
    ProviderOption,
    import_extra,
    recorder_of,
    token_of,
)
from pneumocascade.cli.destinations import check_folder
from pneumocascade.errors import UsageError
from pneumocascade.node.identity import AE_TITLE

if TYPE_CHECKING:
    from pneumocascade.inference.cascade import Cascade
    from pneumocascade.model.store import Manifest
    from pneumocascade.node.dicomweb.archive import ArchiveToken, WebArchive
    from pneumocascade.node.peers import Peer
    from pneumocascade.node.service import WebSettings
    from pneumocascade.node.tls import TlsFiles

app = typer.Typer(invoke_without_command=True, help="Run a DICOM node, or judge a study of an archive.")

_MIB = 1 << 20

DESTINATION_TOKEN_VARIABLE = "PNEUMOCASCADE_DESTINATION_TOKEN"  # noqa: S105  a name
"""Environment variable with what an https destination is told."""

_SIGNAL_SECONDS = 0.5

_FETCH_GIVE_UP_SECONDS = 300.0
"""Time for which the results of a study that was fetched are offered to a destination."""

TlsCertOption = Annotated[
    Path | None,
    typer.Option("--tls-cert", help="Certificate (PEM): take associations over TLS alone, 1.2 or newer."),
]
TlsKeyOption = Annotated[Path | None, typer.Option("--tls-key", help="Key of the certificate (PEM).")]
TlsCaOption = Annotated[
    Path | None,
    typer.Option(
        "--tls-ca", help="CA certificates (PEM): callers must have a certificate signed by one of them."
    ),
]
ResultsOption = Annotated[
    str,
    typer.Option(
        help="DICOM objects of an answer: sr (structured report), sc (picture), pdf, pr (presentation state: "
        "words on the film). Comma-separated."
    ),
]
DestinationsOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Where results are sent: AET@HOST:PORT (C-STORE) or https://HOST/PATH (STOW-RS). Repeatable.",
        show_default=False,
    ),
]
DestinationTokenOption = Annotated[
    Path | None,
    typer.Option(
        help="File with the bearer token, or USER:PASSWORD, for the https destination. Default: the variable "
        f"{DESTINATION_TOKEN_VARIABLE}."
    ),
]
LogLevelOption = Annotated[
    Literal["debug", "info", "warning", "error"], typer.Option(help="Least severe messages to log.")
]
LogJsonOption = Annotated[bool, typer.Option("--log-json", help="Log one JSON object per line.")]


@app.callback()
def node(
    context: typer.Context,
    host: Annotated[
        str,
        typer.Option(help="Address to listen on. The default accepts connections from this machine only."),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 11112,
    ae_title: Annotated[str, typer.Option(help="AE title that callers must call.")] = AE_TITLE,
    destination: DestinationsOption = None,
    destination_token_file: DestinationTokenOption = None,
    spool: Annotated[Path, typer.Option(help="Folder for what is received and not yet delivered.")] = Path(
        "pneumocascade-spool"
    ),
    allow: Annotated[
        list[str] | None,
        typer.Option(
            help="Who may send: AET or AET@ADDRESS, or any. Repeatable.",
            show_default="any, on a loopback address only",
        ),
    ] = None,
    results: ResultsOption = "sr,sc",
    pause: Annotated[
        float,
        typer.Option(
            min=0, help="Seconds without a new object after which an open association's study is judged."
        ),
    ] = 10.0,
    keep: Annotated[
        float, typer.Option(min=0, help="Days that films and results stay in the spool once delivered.")
    ] = 7.0,
    give_up: Annotated[
        float,
        typer.Option(
            min=0, help="Days for which results are offered to a destination that cannot be reached."
        ),
    ] = 7.0,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed",
            help="Offer again what destinations refused or did not commit to, and judge again films that "
            "failed or could not be read.",
        ),
    ] = False,
    max_associations: Annotated[int, typer.Option(min=1, help="Associations at once.")] = 20,
    max_pdu: Annotated[int, typer.Option(min=4096, max=1 << 20, help="Largest PDU, in bytes.")] = 65536,
    max_object: Annotated[int, typer.Option(min=1, help="Largest object, in MiB.")] = 256,
    max_spool: Annotated[int, typer.Option(min=1, help="All objects in the spool, in MiB.")] = 10240,
    timeout: Annotated[
        float,
        typer.Option(min=1, help="Longest silence of an association, and time for one PDU, in seconds."),
    ] = 60.0,
    acse_timeout: Annotated[
        float, typer.Option(min=1, help="Longest time from a connection to its association, in seconds.")
    ] = 10.0,
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    tls_ca: TlsCaOption = None,
    tls_destinations: Annotated[
        bool, typer.Option("--tls-destinations", help="Send results over TLS, too; needs --tls-ca.")
    ] = False,
    http_port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Port on 127.0.0.1 for /healthz, /readyz, /metrics.", show_default="none"
        ),
    ] = None,
    dicomweb_port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Port on --host for DICOMweb, below /dicomweb.", show_default="none"
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help=f"File with a token that every client of DICOMweb must send. Default: {TOKEN_VARIABLE}."
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="Further host name that DICOMweb answers for. Repeatable."),
    ] = None,
    requests_per_minute: Annotated[
        int | None,
        typer.Option(
            min=1, help="POST requests of DICOMweb per minute and client address; more get status 429."
        ),
    ] = None,
    operating_point: OperatingPointOption = "balanced",
    log_level: LogLevelOption = "warning",
    log_json: LogJsonOption = False,
    history: HistoryOption = None,
    provider: ProviderOption = "cpu",
    models: ModelsOption = None,
) -> None:
    """Take films by C-STORE and DICOMweb, judge each once, and send the results to an archive."""
    if context.invoked_subcommand is not None:
        return
    peers = import_extra("pneumocascade.node.peers", "a DICOM node", "node")
    service = import_extra("pneumocascade.node.service", "a DICOM node", "node")
    limits = import_extra("pneumocascade.node.limits", "a DICOM node", "node").Limits(
        associations=max_associations,
        pdu_bytes=max_pdu,
        object_bytes=max_object * _MIB,
        spool_bytes=max_spool * _MIB,
        in_flight_bytes=2 * max_object * _MIB,
        acse_seconds=acse_timeout,
        network_seconds=timeout,
        pause_seconds=pause,
    )
    if not destination and dicomweb_port is None:
        raise UsageError(
            "results need a destination: give --destination, or --dicomweb-port to fetch them there"
        )
    destinations, archive_token = destinations_of(destination or [], destination_token_file)
    tls = tls_files(tls_cert, tls_key, tls_ca)
    if tls_destinations and tls is None:
        raise UsageError("--tls-destinations needs --tls-cert, --tls-key and --tls-ca")
    settings = service.NodeSettings(
        spool=spool,
        destinations=destinations,
        archive_token=archive_token,
        dicomweb=web_settings(dicomweb_port, host, token_file, allow_host or [], requests_per_minute or 0),
        allowed=peers.AllowList.parse(allow or [], host),
        host=host,
        port=port,
        ae_title=peers.ae_title_of(ae_title),
        results=import_extra("pneumocascade.node.results", "a DICOM node", "node").result_kinds(results),
        operating_point=operating_point,
        keep_days=keep,
        give_up_days=give_up,
        http_port=http_port,
        limits=limits,
        tls=tls.for_server() if tls else None,
        destination_tls=tls.for_client() if tls and tls_destinations else None,
        retry_failed=retry_failed,
    )
    set_up_log(log_level, as_json=log_json)
    with loaded(models, provider, history) as (cascade, manifest), until_signal() as stop:
        running = service.Node(cascade, manifest, settings)
        running.start()
        try:
            shown = f"[{host}]" if ":" in host else host
            typer.echo(f"pneumocascade is {settings.ae_title}@{shown}:{running.port} (stop with Ctrl-C)")
            if running.dicomweb_port is not None:
                scheme = "https" if tls else "http"
                typer.echo(f"DICOMweb is at {scheme}://{shown}:{running.dicomweb_port}/dicomweb")
            # A signal just before a wait begins, or to another thread, does not end it: it ends by itself.
            while not stop.wait(_SIGNAL_SECONDS):
                pass
        finally:
            running.stop()


@app.command()
def fetch(
    archive: Annotated[str, typer.Option("--from", help="The archive: AET@HOST:PORT.")],
    study: Annotated[str, typer.Option(help="Study Instance UID.")],
    output: Annotated[
        Path | None, typer.Option(help="Folder for the results' DICOM objects. Default: they are only sent.")
    ] = None,
    destination: DestinationsOption = None,
    destination_token_file: DestinationTokenOption = None,
    ae_title: Annotated[str, typer.Option(help="AE title of this node.")] = AE_TITLE,
    host: Annotated[str, typer.Option(help="Address to listen on, where the archive offers C-MOVE only.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port for the same.")] = 11112,
    allow: Annotated[
        list[str] | None, typer.Option(help="Who may send by C-MOVE: AET or AET@ADDRESS, or any.")
    ] = None,
    results: ResultsOption = "sr,sc",
    timeout: Annotated[float, typer.Option(min=1, help="Longest wait for the archive, in seconds.")] = 60.0,
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    tls_ca: TlsCaOption = None,
    operating_point: OperatingPointOption = "balanced",
    log_level: LogLevelOption = "warning",
    log_json: LogJsonOption = False,
    history: HistoryOption = None,
    provider: ProviderOption = "cpu",
    models: ModelsOption = None,
) -> None:
    """Fetch a study of an archive by C-GET or C-MOVE, judge its films, and write or send the results."""
    import tempfile

    peers = import_extra("pneumocascade.node.peers", "a DICOM node", "node")
    service = import_extra("pneumocascade.node.service", "a DICOM node", "node")
    fetching = import_extra("pneumocascade.node.fetch", "a DICOM node", "node")
    if output is None and not destination:
        raise UsageError("results go nowhere: give --output FOLDER or --destination AET@HOST:PORT")
    if output is not None:
        check_folder("--output", output)
    destinations, archive_token = destinations_of(destination or [], destination_token_file)
    tls = tls_files(tls_cert, tls_key, tls_ca)
    client = tls.for_client() if tls else None
    limits = import_extra("pneumocascade.node.limits", "a DICOM node", "node").Limits(network_seconds=timeout)
    fetcher = fetching.Fetcher(peers.Peer.parse(archive), peers.ae_title_of(ae_title), limits, client)
    set_up_log(log_level, as_json=log_json)
    with (
        tempfile.TemporaryDirectory(prefix="pneumocascade-") as folder,
        loaded(models, provider, history) as (cascade, manifest),
        until_signal() as stop,
    ):
        settings = service.NodeSettings(
            spool=Path(folder),
            destinations=destinations,
            archive_token=archive_token,
            allowed=peers.AllowList.parse(allow or [], host),
            host=host,
            port=port,
            ae_title=fetcher.ae_title,
            results=import_extra("pneumocascade.node.results", "a DICOM node", "node").result_kinds(results),
            operating_point=operating_point,
            limits=limits,
            give_up_days=_FETCH_GIVE_UP_SECONDS / 86400,
            commitment=False,  # the archive would report to a node that has ended
            tls=tls.for_server() if tls else None,
            destination_tls=client,
        )
        judged = fetching.judge_study(service.Node(cascade, manifest, settings), fetcher, study, output, stop)
    typer.echo(str(judged))
    if judged.unfinished:
        raise typer.Exit(1)


def destinations_of(
    texts: list[str], token_file: Path | None
) -> tuple[tuple[Peer | WebArchive, ...], ArchiveToken | None]:
    """Return where results are sent, and what the archive among these that has a URL is told.

    Raises
    ------
    UsageError
        Where one is no destination, or there is a token and not one URL that it is for.
    """
    archive = import_extra("pneumocascade.node.dicomweb.archive", "a DICOM node", "node")
    destinations = tuple(dict.fromkeys(archive.destination_of(each) for each in texts))
    token = token_of(token_file, DESTINATION_TOKEN_VARIABLE)
    if token is None:
        return destinations, None
    urls = sum(isinstance(each, archive.WebArchive) for each in destinations)
    if urls != 1:
        raise UsageError(f"there is a token for one https destination, but {urls} are given")
    return destinations, archive.ArchiveToken.parse(token)


def web_settings(
    port: int | None, host: str, token_file: Path | None, hosts: list[str], per_minute: int
) -> WebSettings | None:
    """Return how DICOMweb is served; ``None`` where it is not.

    Raises
    ------
    UsageError
        Where other machines can reach it and there is no token, or an option lacks its port.
    """
    if port is None:
        if token_file or hosts or per_minute:
            raise UsageError("--token-file, --allow-host and --requests-per-minute need --dicomweb-port")
        return None
    import_extra("pneumocascade.node.dicomweb.app", "DICOMweb", "node")
    server = import_extra("pneumocascade.server", "DICOMweb", "node")
    service = import_extra("pneumocascade.node.service", "DICOMweb", "node")
    peers = import_extra("pneumocascade.node.peers", "DICOMweb", "node")
    token = token_of(token_file, TOKEN_VARIABLE)
    loopback = peers.is_loopback(host)
    if token is None and not loopback:
        raise UsageError(f"other machines can reach {host}: DICOMweb needs --token-file or {TOKEN_VARIABLE}")
    allowed = (*server.LOOPBACK, *hosts) if hosts or loopback else None
    access = server.Access(allowed, per_minute=per_minute)
    return cast("WebSettings", service.WebSettings(port, access, token))


def tls_files(certificate: Path | None, key: Path | None, authority: Path | None) -> TlsFiles | None:
    """Return the files of TLS; ``None`` where none are given.

    Raises
    ------
    UsageError
        Where only some are.
    """
    from pneumocascade.node.tls import TlsFiles

    if certificate is None and key is None and authority is None:
        return None
    if certificate is None or key is None:
        raise UsageError("TLS needs --tls-cert and --tls-key, both")
    return TlsFiles(certificate, key, authority)


def set_up_log(level: Literal["debug", "info", "warning", "error"], *, as_json: bool) -> None:
    """Send the log to standard error; pynetdicom's own says nothing, for it quotes what was sent."""
    import logging

    from pneumocascade.audit.logs import set_up

    set_up(level, as_json=as_json)
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)


@contextmanager
def loaded(models: Path | None, provider: str, history: Path | None) -> Iterator[tuple[Cascade, Manifest]]:
    """Give a cascade that decodes in processes of their own and records its answers, and its manifest."""
    from pneumocascade.inference.cascade import Cascade
    from pneumocascade.inference.worker_pool import IsolatedReader
    from pneumocascade.model.engines.processor import usable_cores
    from pneumocascade.model.store import bundled_models, read_manifest

    with recorder_of(history) as recorder:
        reader = IsolatedReader(usable_cores())
        try:
            # One thread a film: as many films as there are cores are judged at once.
            yield (
                Cascade.load(models, threads=1, provider=provider, reader=reader, recorder=recorder),
                read_manifest(models or bundled_models()),
            )
        finally:
            reader.close()


@contextmanager
def until_signal() -> Iterator[threading.Event]:
    """Give an event that SIGTERM and SIGINT set; a second signal ends the process at once."""
    stop = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def ask(number: int, _: object) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
