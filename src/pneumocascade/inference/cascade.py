"""The two-stage cascade: the only way through the models."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pneumocascade.errors import FilmError, ModelError, UsageError
from pneumocascade.explain import card as card  # lets notebooks show answers
from pneumocascade.i18n import gettext_noop
from pneumocascade.inference.prefetch import prefetch_map
from pneumocascade.inference.prepare import PreparedFilm, prepare_film, with_names
from pneumocascade.inference.sources import several_films
from pneumocascade.model.calibration import check_prior, check_threshold, judge
from pneumocascade.model.engines import AUTO
from pneumocascade.model.gate import Assessment, FeatureGate
from pneumocascade.model.onnx_classifier import ModelOutput, OnnxClassifier
from pneumocascade.model.preprocess import prepare
from pneumocascade.model.spec import OPERATING_POINTS, ModelSpec
from pneumocascade.model.store import (
    MANIFEST,
    bundled_models,
    load_classifier,
    load_gate,
    read_manifest,
)
from pneumocascade.types import Prediction, Radiograph, Reason, StageResult

if TYPE_CHECKING:
    from pneumocascade.inference.prepare import AnySource

DEFAULT_OPERATING_POINT = OPERATING_POINTS[0]

NEITHER_FITS = gettext_noop(
    "Stage %(stage)s: neither label fits at 90 %% coverage; the probability is less clear than for nine in "
    "ten films of either."
)

CUSTOM = "custom"
"""What answers call the operating point where stage 1's threshold was given."""


class Terms(NamedTuple):
    """How films are judged: operating point, whether the gate may refuse, prior, threshold of stage 1."""

    operating_point: str
    gate: bool
    prior: float | None
    threshold: float | None = None


class _Origin(NamedTuple):
    """Where a cascade was loaded from."""

    folder: str
    sha256: str
    threads: int
    provider: str


def _digest_of(folder: Path) -> str:
    """Return the SHA-256 of a folder's manifest, which holds those of its files."""
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()


def _loaded_again(folder: str, sha256: str, threads: int, provider: str) -> Cascade:
    """Load the models of a pickled cascade.

    Raises
    ------
    ModelError
        Where other models lie in the folder now.
    """
    if _digest_of(Path(folder)) != sha256:
        raise ModelError(f"{folder} holds other models than when the cascade was pickled")
    return Cascade.load(folder, threads=threads, provider=provider)


class Cascade:
    """Stage 1 (normal or pneumonia) and, where it says pneumonia, stage 2 (bacterial or viral).

    Use :meth:`load` to make one. An instance may be shared between threads.

    Parameters
    ----------
    stage1 : OnnxClassifier
    stage2 : OnnxClassifier or None
        ``None``: stage 1 answers alone, and no film has an aetiology.
    version : str
        Of the models.
    gate : FeatureGate, optional
        Fitted on this stage 1; without it films pass the checks on pixels alone.
    reader : callable
        Reads a film and prepares it, as :func:`pneumocascade.inference.prepare.prepare_film` does.
    recorder : callable, optional
        Is given each answer before it is returned, such as ``History.add``. What it raises goes to whoever
        asked: an answer that cannot be recorded is not given. A DICOM node gives it the argument ``since`` of
        ``History.add``, too, with an answer that may have been recorded by a process that was killed.

    Examples
    --------
    >>> from pneumocascade import Cascade
    >>> cascade = Cascade.load()
    >>> cascade.predict("no such film.jpeg").status
    'error'
    """

    def __init__(
        self,
        stage1: OnnxClassifier,
        stage2: OnnxClassifier | None,
        version: str,
        gate: FeatureGate | None = None,
        reader: Callable[..., PreparedFilm] = prepare_film,
        recorder: Callable[..., object] | None = None,
    ) -> None:
        self.stage1 = stage1
        self.stage2 = stage2
        self.version = version
        self.gate = gate
        self.reader = reader
        self.recorder = recorder
        self._origin: _Origin | None = None

    @property
    def folder(self) -> Path | None:
        """Where :meth:`load` found the models; ``None`` for a cascade that was made otherwise."""
        return Path(self._origin.folder) if self._origin else None

    @property
    def batch_size(self) -> int:
        """Films that go through a model at once where nobody says how many: what is fastest."""
        return self.stage1.batch_size

    @property
    def specs(self) -> tuple[ModelSpec, ...]:
        """The specifications of the stages that there are: of both, or of stage 1 alone."""
        return (self.stage1.spec, self.stage2.spec) if self.stage2 else (self.stage1.spec,)

    def model_of(self, stage: int) -> OnnxClassifier:
        """Return the model of a stage.

        Parameters
        ----------
        stage : int
            1 or 2.

        Raises
        ------
        UsageError
            For another stage, or stage 2 where there is none.
        """
        if stage not in (1, 2):
            raise UsageError(f"stage is {stage!r}; expected 1 or 2")
        model = self.stage1 if stage == 1 else self.stage2
        if model is None:
            raise UsageError(f"models {self.version} are a stage 1 alone: there is no stage 2")
        return model

    def record(self, prediction: Prediction) -> Prediction:
        """Return an answer after the recorder, where there is one, was given it."""
        if self.recorder is not None:
            self.recorder(prediction)
        return prediction

    @classmethod
    def load(
        cls,
        folder: str | os.PathLike[str] | None = None,
        *,
        threads: int = 0,
        provider: str = "cpu",
        reader: Callable[..., PreparedFilm] = prepare_film,
        recorder: Callable[..., object] | None = None,
    ) -> Cascade:
        """Load two models and their gate, and check them against their manifest.

        Parameters
        ----------
        folder : path, optional
            As written by ``pneumocascade export``; by default the bundled models.
        threads : int
            Threads of one run of a model; 0 for one per physical core.
        provider : {"cpu", "cuda", "openvino", "auto"}
            What runs the models: ONNX Runtime on the CPU or a GPU, OpenVINO on the CPU (extra
            ``[openvino]``), or the fastest of those that are installed, as far as that was measured.
        reader, recorder : callable
            See the class.

        Raises
        ------
        ModelError
            Where a file is missing, altered (``ModelChecksumError``) or not one of ours.
        UsageError
            Where the ONNX Runtime that is installed has no such provider.
        MissingExtraError
            Where OpenVINO is asked for and not installed.
        """
        path = Path(folder) if folder is not None else bundled_models()
        manifest = read_manifest(path)
        with ThreadPoolExecutor(2) as pool:  # side by side: loading is most of the start of a process
            load = partial(load_classifier, path, manifest, threads=threads, provider=provider)
            models = list(pool.map(load, manifest.stages))
        stage1, stage2 = models[0], models[1] if len(models) > 1 else None
        cascade = cls(stage1, stage2, manifest.version, load_gate(path, manifest), reader, recorder)
        cascade._origin = _Origin(str(path.resolve()), _digest_of(path), threads, provider)
        return cascade

    def __repr__(self) -> str:
        """Return version, input size, provider, and whether stage 1 is alone."""
        size, provider = self.stage1.spec.input_size, self.stage1.provider
        chosen = ", chosen by auto" if self._origin and self._origin.provider == AUTO else ""
        alone = "" if self.stage2 else ", stage 1 alone"
        return f"<Cascade: models {self.version}{alone}, input {size} x {size}, provider {provider}{chosen}>"

    def __reduce__(self) -> tuple[Callable[..., Cascade], tuple[object, ...]]:
        """Pickle as where the models lie and what they are: the other process loads them again.

        Raises
        ------
        UsageError
            Where it was not made by :meth:`load`, or has a reader or recorder of its own.
        """
        if self._origin is None or self.reader is not prepare_film or self.recorder is not None:
            raise UsageError(
                "only a cascade from Cascade.load without reader and recorder can be pickled; load one "
                "in the other process"
            )
        return _loaded_again, tuple(self._origin)

    def __call__(self, source: AnySource, **options: Any) -> Prediction:
        """Judge one film; the same as :meth:`predict`."""
        return self.predict(source, **options)

    def embed(self, sources: Iterable[AnySource], *, stage: int = 1) -> NDArray[np.float32]:
        """Return the features of films that a stage's classifier works on, for classifiers of your own.

        Parameters
        ----------
        sources : iterable
            As for :meth:`predict_many`. The gate is not asked.
        stage : int
            1 or 2.

        Returns
        -------
        ndarray of float32, shape (N, C)
            The last feature map of the network, averaged over the film; of the bundled models C is 2048.

        Raises
        ------
        FilmError
            For the first film that cannot be read.
        UsageError
            For another stage, or stage 2 where there is none.
        """
        model = self.model_of(stage)
        prepare_one = partial(self.reader, specs=self.specs, gate=False)
        rows = []
        for film in prefetch_map(prepare_one, with_names(*several_films(sources)), workers=1, prefetch=2):
            if not film.inputs:
                reason = film.error or film.reasons[0]
                raise FilmError(reason.code, f"{film.source}: {reason.message}")
            rows.append(model.run(film.inputs[stage - 1]).features.mean(axis=(2, 3)))
        return np.concatenate(rows) if rows else np.empty((0, model.channels), np.float32)

    def predict(
        self,
        source: AnySource,
        *,
        operating_point: str = DEFAULT_OPERATING_POINT,
        name: str | None = None,
        gate: bool = True,
        prior: float | None = None,
        threshold: float | None = None,
        display: bool = False,
        record: bool = True,
    ) -> Prediction:
        """Judge one film.

        Parameters
        ----------
        source : path, URI, bytes, file, ndarray, tensor, PIL.Image.Image, pydicom.Dataset or Radiograph
            See :func:`pneumocascade.read_radiograph`.
        operating_point : {"balanced", "sensitive", "specific"}
        name : str, optional
            Shown as the answer's ``source``.
        gate : bool
            ``False``: judge it whatever it shows, unless it is too small, and say so in a warning.
        prior : float, optional
            Share of pneumonia among the films at hand, above 0 and below 1; by default the stored one.
            Stage 1's probability and threshold move together, so the finding stays.
        threshold : float, optional
            Above 0 and below 1: pneumonia from this probability of stage 1 on, as the answer shows it, in
            place of the operating point's threshold. The answer's ``operating_point`` is ``"custom"`` then;
            stage 2 keeps the balanced one.
        display : bool
            Keep, as the answer's ``display``, what people are shown of the film: it need not be read again.
        record : bool
            Give the answer to the recorder, where there is one.

        Returns
        -------
        Prediction
            With ``status`` ``"refused"`` or ``"error"``, rather than an exception, for a film that
            cannot be judged or read.

        Raises
        ------
        UsageError
            For an unknown operating point, a prior that is no share, or a threshold that is no probability
            or given beside an operating point.
        """
        names = None if name is None else [name]
        answers = self.predict_many(
            [source],
            operating_point=operating_point,
            names=names,
            gate=gate,
            prior=prior,
            threshold=threshold,
            display=display,
            record=record,
        )
        return next(answers)

    def predict_many(
        self,
        sources: Iterable[AnySource],
        *,
        batch_size: int | None = None,
        operating_point: str = DEFAULT_OPERATING_POINT,
        workers: int = 1,
        parallel: int = 1,
        names: Iterable[str] | None = None,
        gate: bool = True,
        prior: float | None = None,
        threshold: float | None = None,
        display: bool = False,
        record: bool = True,
    ) -> Iterator[Prediction]:
        """Judge many films, in order; while the models run, the next films are read.

        Of each film only what the models need is held, and of these no more than ``2 * parallel`` batches and
        twice a batch, or twice ``workers``, that are read.

        Parameters
        ----------
        sources : iterable, path or array
            Films as for :meth:`predict`; taken up a few batches before they are needed. Or the path of a
            folder or zip archive, a pattern or URI, which stand for their films as on the command line; or a
            stack of films as array or tensor: (N, H, W), (N, H, W, 3), (N, 1, H, W) or (N, 3, H, W).
        batch_size : int, optional
            Films that go through a model at once; by default as many as is fastest: 1 on the CPU.
        operating_point : {"balanced", "sensitive", "specific"}
        workers : int
            Threads that read and prepare films.
        parallel : int
            Batches that go through the models at once. Of a cascade that was loaded with ``threads=1``,
            one for each core is fastest.
        names : iterable of str, optional
            Shown as the answers' ``source``, one for each film.
        gate : bool
            ``False``: judge them whatever they show, unless they are too small, and say so in a
            warning to each that could be read.
        prior, threshold : float, optional
        display, record : bool
            As for :meth:`predict`. A display copy takes up to 4 MB.

        Yields
        ------
        Prediction
            One for each source, in the order of the sources.

        Raises
        ------
        UsageError
            For an unknown operating point, a prior that is no share, a threshold that is no probability or
            given beside an operating point, fewer than one film a batch, worker or batch at once, one film
            where several are expected, or not as many names as films.
        TypeError
            For what holds no films.
        """
        first, *others = (spec.operating_points for spec in self.specs)
        stored = [name for name in first if all(name in other for other in others)]
        if operating_point not in stored:
            raise UsageError(f"operating point is {operating_point!r}; the models store {', '.join(stored)}")
        if prior is not None:
            check_prior(prior)
        _check_threshold(threshold, operating_point)
        batch_size = self.batch_size if batch_size is None else batch_size
        if not all(isinstance(one, (int, np.integer)) and one > 0 for one in (batch_size, workers, parallel)):
            raise UsageError(
                f"batch_size is {batch_size!r}, workers {workers!r} and parallel {parallel!r}; expected "
                "whole numbers, at least 1"
            )
        sources, names = several_films(sources, names)
        if isinstance(names, str):
            raise UsageError(f"names is {names!r}; expected one name for each film, in a list")
        if isinstance(sources, Sized) and isinstance(names, Sized) and len(sources) != len(names):
            raise UsageError(f"{len(names)} names were given for {len(sources)} films")
        prepare_one = partial(self.reader, specs=self.specs, gate=gate, display=display)
        films = prefetch_map(
            prepare_one, with_names(sources, names), workers=workers, prefetch=2 * max(batch_size, workers)
        )
        batches = iter(lambda: list(islice(films, batch_size)), [])
        judge_batch = partial(self._timed, how=Terms(operating_point, gate, prior, threshold))
        judged = (
            map(judge_batch, batches)
            if parallel == 1
            else prefetch_map(judge_batch, batches, workers=parallel, prefetch=2 * parallel)
        )
        answers = chain.from_iterable(judged)
        return map(self.record, answers) if record else answers

    def rejudge(
        self,
        prediction: Prediction,
        *,
        operating_point: str | None = None,
        prior: float | None = None,
        record: bool = True,
    ) -> Prediction:
        """Judge an answer again at another operating point or prior, without its film.

        The answer is the one that :meth:`predict` gives at these settings, but for ``elapsed_ms``: it
        holds what stage 1 said. Where stage 1 now says pneumonia and stage 2 has not run, stage 2 runs on the
        answer's ``display``, whose preprocessing is that of the film.

        Parameters
        ----------
        prediction : Prediction
            An answer of this cascade with any status; the gate is not asked again.
        operating_point : {"balanced", "sensitive", "specific"}, optional
            By default the answer's; must be given for an answer at a threshold of your own (``"custom"``).
        prior : float, optional
            Above 0 and below 1; by default the answer's.
        record : bool
            Give it to the recorder, where there is one; a history enters it with the code ``rejudged``.

        Raises
        ------
        UsageError
            For an unknown operating point, a prior that is no share, an answer of other models or without
            logits, and where stage 2 must run and the answer was made without ``display=True``.
        """
        from pneumocascade.inference.rejudge import rejudged  # which is built on this module

        answer = rejudged(self, prediction, operating_point, prior)
        return self.record(answer) if record else answer

    def unread(
        self,
        name: str,
        error: FilmError,
        *,
        operating_point: str = DEFAULT_OPERATING_POINT,
        prior: float | None = None,
        threshold: float | None = None,
    ) -> Prediction:
        """Return the answer to a film whose bytes whoever asks could not get, with status ``"error"``.

        It is not recorded: :meth:`record` does that.

        Parameters
        ----------
        name : str
            Shown as the answer's ``source``.
        error : FilmError
            Why there are no bytes.
        operating_point : str
        prior, threshold : float, optional
            As for :meth:`predict`; checked before.
        """
        film = PreparedFilm(name, "error", error=Reason(error.code, error.message))
        return self._before_models(film, Terms(operating_point, True, prior, threshold))

    def stage_results(
        self, stage: int, radiographs: Sequence[Radiograph], operating_point: str = DEFAULT_OPERATING_POINT
    ) -> list[StageResult]:
        """Return what one stage, on its own, says of films; every answer goes through here.

        Neither the gate nor the other stage is asked: :meth:`predict` does that.

        Parameters
        ----------
        stage : int
            1 or 2.
        radiographs : sequence of Radiograph
            As many as may go through the model at once.
        operating_point : {"balanced", "sensitive", "specific"}

        Raises
        ------
        UsageError
            For another stage, stage 2 where there is none, or an unknown operating point.
        """
        model = self.model_of(stage)
        if not radiographs:
            return []
        output = model.run(np.concatenate([prepare(radiograph, model.spec) for radiograph in radiographs]))
        how = Terms(operating_point, False, None)
        return [stage_result(model, output, row, how) for row in range(len(radiographs))]

    def _timed(self, films: Sequence[PreparedFilm], how: Terms) -> list[Prediction]:
        started = time.perf_counter()
        predictions = self._judge(films, how)
        share = (time.perf_counter() - started) / len(films)
        return [
            replace(prediction, elapsed_ms=round(1000 * (film.seconds + share), 3))
            for film, prediction in zip(films, predictions, strict=True)
        ]

    def _judge(self, films: Sequence[PreparedFilm], how: Terms) -> list[Prediction]:
        predictions = [self._before_models(film, how) for film in films]
        entered = [index for index, prediction in enumerate(predictions) if prediction.status == "ok"]
        if not entered:
            return predictions
        output = self.stage1.run(np.concatenate([films[index].inputs[0] for index in entered]))
        seen = self._assess([films[index] for index in entered], output.features)
        positives = []
        for row, (index, assessment) in enumerate(zip(entered, seen, strict=True)):
            predictions[index] = self._after_stage1(predictions[index], output, row, assessment, how)
            if predictions[index].finding == self.stage1.spec.labels[1]:
                positives.append((index, assessment))
        if positives and self.stage2 is not None:
            output = self.stage2.run(np.concatenate([films[index].inputs[1] for index, _ in positives]))
            own = how._replace(prior=None, threshold=None)  # those of stage 2 are stored ones
            for row, (index, seen2) in enumerate(positives):
                result = stage_result(self.stage2, output, row, own, seen2.stage2_domain)
                predictions[index] = _with_stage2(predictions[index], result, seen2)
        return predictions

    def _after_stage1(
        self, prediction: Prediction, output: ModelOutput, row: int, seen: Assessment, how: Terms
    ) -> Prediction:
        """Return the answer with stage 1's result, or with why the film is refused."""
        if seen.reasons and how.gate:
            return replace(prediction, status="refused", reasons=seen.reasons)
        result = stage_result(self.stage1, output, row, how, seen.domain)
        return replace(
            prediction,
            finding=result.label,
            stage1=result,
            familiarity=seen.familiarity,
            warnings=prediction.warnings + seen.warnings + set_warnings(1, result),
        )

    def _before_models(self, film: PreparedFilm, how: Terms) -> Prediction:
        """Return the answer as far as it is known without the models."""
        return Prediction(
            film.source,
            film.status,
            how.operating_point if how.threshold is None else CUSTOM,
            self.version,
            warnings=film.warnings,
            reasons=film.reasons,
            error=film.error,
            pixels_sha256=film.pixels_sha256,
            acquisition=film.acquisition,
            display=film.display,
            prior=self.stage1.spec.prior if how.prior is None else how.prior,
        )

    def _assess(self, films: Sequence[PreparedFilm], features: NDArray[np.float32]) -> Sequence[Assessment]:
        """Return what stage 1's features tell of films that passed the checks on pixels."""
        if self.gate is None:
            return [Assessment()] * len(films)
        return self.gate.assess(features, [film.acquisition for film in films])


def neither_fits(stage: int) -> str:
    """Return the warning of an empty prediction set."""
    return NEITHER_FITS % {"stage": stage}


def _check_threshold(threshold: float | None, operating_point: str) -> None:
    if threshold is None:
        return
    check_threshold(threshold)
    if operating_point != DEFAULT_OPERATING_POINT:
        raise UsageError(
            f"threshold is {threshold:g} and operating_point is {operating_point!r}: give one of them"
        )


def _with_stage2(prediction: Prediction, result: StageResult, seen: Assessment) -> Prediction:
    """Return the answer with stage 2's result; its prior is the stored one."""
    warnings = prediction.warnings + seen.stage2_warnings + set_warnings(2, result)
    return replace(prediction, aetiology=result.label, stage2=result, warnings=warnings)


def set_warnings(stage: int, result: StageResult) -> tuple[str, ...]:
    """Return what a reader of a stage's prediction set should know."""
    return () if result.prediction_set else (neither_fits(stage),)


def stage_result(
    model: OnnxClassifier,
    output: ModelOutput,
    row: int,
    how: Terms,
    domain: str | None = None,
) -> StageResult:
    """Return a stage's answer to one of the films that went through its model."""
    spec = model.spec
    result = judge(
        output.logits[row],
        spec,
        how.operating_point,
        prior=how.prior,
        domain=domain,
        threshold=how.threshold,
    )
    if output.activation_maps is None:
        return result
    activation_map = output.activation_maps[row] / np.float32(spec.temperature)
    return replace(result, activation_map=activation_map, margin=spec.margin)
