"""What ``predict`` makes of answers besides the answers: pictures, DICOM objects, a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pneumocascade.cli.destinations import check_file, check_folder
from pneumocascade.errors import FilmError, UsageError

if TYPE_CHECKING:
    from pneumocascade.inference.cascade import Cascade
    from pneumocascade.types import Prediction, Radiograph

    Make = Callable[[Prediction, Radiograph], object]


class FileOutputs(NamedTuple):
    """Where to, for what was asked for.

    Attributes
    ----------
    pictures, objects : Path or None
        Folders.
    report : Path or None
        File.
    clean : bool
        De-identify objects and report.
    """

    pictures: Path | None
    objects: Path | None
    report: Path | None
    clean: bool

    @property
    def any(self) -> bool:
        """Whether anything was asked for."""
        return any((self.pictures, self.objects, self.report))


def check(outputs: FileOutputs, *, resume: bool = False) -> None:
    """Refuse what cannot be made, before films are judged for nothing; nothing is changed.

    Parameters
    ----------
    outputs : FileOutputs
    resume : bool
        Whether films that have their answer are left out.

    Raises
    ------
    UsageError
        Where a folder or the report cannot be written, the report has another suffix or would lack films,
        or there is nothing to de-identify.
    MissingExtraError
        Where packages are missing.
    """
    if outputs.clean and outputs.objects is None and outputs.report is None:
        raise UsageError("--deidentify goes with --dicom-output or --report")
    if outputs.pictures is not None:
        check_folder("--save-pictures", outputs.pictures)
    if outputs.objects is not None:
        import pneumocascade.reports.objects  # noqa: F401  says which extra is missing

        check_folder("--dicom-output", outputs.objects)
    if outputs.report is not None:
        _check_report(outputs.report, resume)


def _check_report(report: Path, resume: bool) -> None:
    from pneumocascade.reports.pdf import SUFFIXES, weasyprint_module

    if report.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{report} names no report: expected {' or '.join(SUFFIXES)}")
    if resume:
        raise UsageError(
            "--resume leaves out films that have their answer, and a report is made of all: go on without "
            "--report, then make the report in a run of its own"
        )
    check_file("--report", report)
    if report.suffix.lower() == ".pdf":
        weasyprint_module()


def with_files(
    predictions: Iterable[Prediction],
    cascade: Cascade,
    outputs: FileOutputs,
    models: Path | None,
    content: bytes | None = None,
) -> Iterator[Prediction]:
    """Write pictures and objects of each answer; what could not be written is said in its warnings.

    Parameters
    ----------
    predictions : iterable of Prediction
    cascade : Cascade
    outputs : FileOutputs
    models : Path or None
        Their folder; ``None`` for those that come with the package.
    content : bytes, optional
        The one film, where it came as bytes: no name leads to it.
    """
    makers = [*_pictures(cascade, outputs), *_objects(outputs, models, content)]
    for prediction in predictions:
        yield replace(prediction, warnings=prediction.warnings + _made(prediction, makers))


def _pictures(cascade: Cascade, outputs: FileOutputs) -> Iterator[tuple[str, Make]]:
    from pneumocascade.explain.pictures import save_pictures

    if (folder := outputs.pictures) is not None:
        yield "pictures", lambda answer, film: save_pictures(answer, film, cascade.stage1.spec, folder)


def _objects(outputs: FileOutputs, models: Path | None, content: bytes | None) -> Iterator[tuple[str, Make]]:
    if (folder := outputs.objects) is not None:
        from pneumocascade.model.store import bundled_models, read_manifest
        from pneumocascade.reports.objects import write_objects

        manifest = read_manifest(models or bundled_models())
        clean = outputs.clean
        yield (
            "DICOM objects",
            lambda answer, film: write_objects(answer, film, manifest, folder, clean=clean, content=content),
        )


def _made(prediction: Prediction, makers: Iterable[tuple[str, Make]]) -> tuple[str, ...]:
    """Make all files of an answer; return what could not be made, in sentences."""
    if (film := prediction.display) is None:
        return ()
    notes = (_note(prediction, film, what, make) for what, make in makers)
    return tuple(note for note in notes if note)


def _note(prediction: Prediction, film: Radiograph, what: str, make: Make) -> str:
    try:
        make(prediction, film)
    except FilmError as error:  # its object was moved or written to since, or it lacks what is needed
        return f"there are no {what} of it: {error.message}"
    return ""


def consume(predictions: Iterable[Prediction], cascade: Cascade, outputs: FileOutputs) -> None:
    """Take all answers, and write the report of them where one is asked for."""
    if outputs.report is None:
        for _ in predictions:
            pass
        return
    from pneumocascade.reports.pdf import write_report

    films = ((_shown(answer, clean=outputs.clean), answer.display) for answer in predictions)
    write_report(films, cascade, outputs.report)


def _shown(prediction: Prediction, *, clean: bool) -> Prediction:
    """Return an answer without the film's name, which may be the patient's, where it is to be left out."""
    if not clean:
        return prediction
    return replace(prediction, source=f"film {prediction.pixels_sha256[:12] or 'that could not be read'}")
