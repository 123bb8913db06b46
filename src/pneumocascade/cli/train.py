"""``pneumocascade train``, ``export`` and ``calibrate``."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Literal

import typer

from pneumocascade.cli.common import ModelsOption, import_extra
from pneumocascade.cli.labels import (
    LabelColumnsOption,
    LabelsOption,
    LabelValuesOption,
    PatientsOption,
    options_of,
    say_loaded,
)


def unnamed() -> str:
    """Return a version for models that are given none: ``predict --resume`` tells models apart by it."""
    return f"0.0.0+{datetime.now(timezone.utc):%Y%m%d.%H%M%S}"


VersionOption = Annotated[
    str,
    typer.Option(
        default_factory=unnamed,
        show_default="0.0.0+DATE.TIME",
        help="Version to store in the models.",
    ),
]


def train(
    output: Annotated[Path, typer.Option(help="Folder of the run. An interrupted run in it is continued.")],
    data_dir: Annotated[
        Path | None,
        typer.Argument(
            help="Films as published: train|val/NORMAL|PNEUMONIA (test/ is left out), or one such split. "
            "With --labels: the films' folder.",
            show_default="the folder of --labels",
        ),
    ] = None,
    start_from: Annotated[
        str,
        typer.Option(
            "--start-from",
            "--backbone-weights",
            help="Starting weights: 'imagenet' to fetch them, 'bundled' for the models that come with this "
            "package, a folder of models or of a run, or a safetensors file (may be partial).",
        ),
    ] = "imagenet",
    stage: Annotated[
        Literal["1", "2", "both"],
        typer.Option(
            help="Stages to train; stage 2 needs films of known aetiology. It starts from the stage 2 of "
            "--start-from where there is one, else from the stage 1 of this run."
        ),
    ] = "both",
    backbone: Annotated[
        str, typer.Option(help="Network to train, such as resnet50 or resnet18; an unknown name lists all.")
    ] = "resnet50",
    recipe: Annotated[
        Literal["clahe-hot", "clahe", "baseline"],
        typer.Option(help="Preprocessing: CLAHE and colour map, CLAHE alone, or neither."),
    ] = "clahe-hot",
    renderings: Annotated[
        list[Path] | None,
        typer.Option(help="Further folder with the same films in another resolution. Repeatable."),
    ] = None,
    hold_out: Annotated[
        list[Path] | None,
        typer.Option(help="Folder whose patients are all used for validation. Repeatable."),
    ] = None,
    split: Annotated[Path | None, typer.Option(help="Use the split of another run (split.json).")] = None,
    schedule: Annotated[
        str | None,
        typer.Option(help="Input size and epochs. Default: 160x3,224x4."),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=2, help="Films per training step.")] = 32,
    learning_rate: Annotated[
        float, typer.Option(help="Peak learning rate of weights that start from the backbone.")
    ] = 1e-4,
    frozen_stages: Annotated[
        int,
        typer.Option(
            min=0,
            max=5,
            help="Leading modules that keep their weights: 1 is the stem, 2 adds layer1, and so on.",
        ),
    ] = 2,
    balance: Annotated[
        bool,
        typer.Option(
            "--balance", help="Show classes, and blocks of neighbouring patient numbers, equally often."
        ),
    ] = False,
    detail: Annotated[
        bool,
        typer.Option(
            "--detail",
            help="Give films the contrast that fine detail has in others: the class is learnt less from it.",
        ),
    ] = False,
    elsewhere: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of labelled films of another source, for stage 1, or their CSV file of labels. "
            "Repeatable."
        ),
    ] = None,
    labels: LabelsOption = None,
    label_columns: LabelColumnsOption = None,
    label_values: LabelValuesOption = None,
    patients: PatientsOption = None,
    seed: Annotated[int, typer.Option(help="Seed of split, order and augmentation.")] = 2018,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read and change films.")] = 1,
) -> None:
    """Train one or both stages on a folder of labelled films."""
    from pneumocascade.datasets.films import load_training_films

    run = import_extra("pneumocascade.training.run", "training", "train")
    sources_module = import_extra("pneumocascade.training.sources", "training", "train")
    config = import_extra("pneumocascade.training.config", "training", "train")
    options = options_of(labels, label_columns, label_values, patients)
    loaded = load_training_films(data_dir, options)
    for films in (loaded, *map(load_training_films, elsewhere or ())):
        say_loaded(films)
    sources = sources_module.Sources(
        data_dir or loaded.root,
        start_from,
        tuple(renderings or ()),
        tuple(hold_out or ()),
        split,
        tuple(elsewhere or ()),
        options,
    )
    for number in run.stages_to_train(sources, stage, typer.echo):
        given = {"schedule": config.parse_schedule(schedule) if schedule else None}
        settings = config.TrainingConfig(
            number,
            backbone=backbone,
            recipe=recipe,
            batch_size=batch_size,
            learning_rate=learning_rate,
            frozen_stages=frozen_stages,
            balance=balance,
            detail=detail,
            seed=seed,
            workers=workers,
            **{name: value for name, value in given.items() if value is not None},
        )
        run.train_stage(sources, settings, output, typer.echo)


def export(
    run_dir: Annotated[Path, typer.Argument(help="Folder of a run, of both stages or of stage 1.")],
    output: Annotated[
        Path,
        typer.Option(
            help="Folder for stage1.onnx, stage2.onnx and manifest.json. A failed export leaves it as it was."
        ),
    ],
    version: VersionOption,
    precision: Annotated[
        Literal["int8", "float16", "float32"],
        typer.Option(help="Of weights and activations: int8 is smallest and fastest, float32 exact."),
    ] = "int8",
) -> None:
    """Turn a run into models: ONNX, calibrated on its validation films."""
    module = import_extra("pneumocascade.training.export", "export", "train")
    module.export_run(run_dir, output, version, typer.echo, precision=precision)


def weights(
    output: Annotated[Path, typer.Option(help="safetensors file to write.")],
    stage: Annotated[Literal["1", "2"], typer.Option(help="Stage of the model.")] = "1",
    models: ModelsOption = None,
) -> None:
    """Write the weights of a model for training: dequantised, batch norm folded, with torchvision's names."""
    from pneumocascade.model.store import bundled_models

    module = import_extra("pneumocascade.training.starting_weights", "training", "train")
    module.write_weights(models or bundled_models(), f"stage{stage}", output)
    typer.echo(f"weights of stage {stage} written to {output}")


def calibrate(
    output: Annotated[Path, typer.Option(help="Folder for the new models; not the one of the old ones.")],
    split: Annotated[
        Path,
        typer.Option(
            help="split.json of a run: calibrate on its validation side, fit the gate on the other."
        ),
    ],
    version: VersionOption,
    data_dir: Annotated[
        Path | None,
        typer.Argument(
            help="Labelled films: NORMAL and PNEUMONIA, as for train.", show_default="the folder of --labels"
        ),
    ] = None,
    renderings: Annotated[
        list[Path] | None,
        typer.Option(help="Further folder with the same films in another resolution. Repeatable."),
    ] = None,
    stage1_margin: Annotated[
        float | None,
        typer.Option(
            min=0, max=0.25, help="Share of each side of the film to leave out. Default: as stored."
        ),
    ] = None,
    stage2_margin: Annotated[
        float | None, typer.Option(min=0, max=0.25, help="The same for stage 2.")
    ] = None,
    labels: LabelsOption = None,
    label_columns: LabelColumnsOption = None,
    label_values: LabelValuesOption = None,
    patients: PatientsOption = None,
    seed: Annotated[int, typer.Option(help="Seed of the resamples that choose the threshold.")] = 2018,
    models: ModelsOption = None,
) -> None:
    """Calibrate models on other films, without training: probabilities, thresholds, sets, gate."""
    from pneumocascade.datasets.films import Split, load_training_films
    from pneumocascade.model.store import bundled_models

    module = import_extra("pneumocascade.training.calibrate_models", "calibration", "train")
    found = load_training_films(data_dir, options_of(labels, label_columns, label_values, patients))
    say_loaded(found)
    films = module.CalibrationFilms(found, Split.load(split, found.patients), tuple(renderings or ()))
    margins = (stage1_margin, stage2_margin)
    module.recalibrate(
        models or bundled_models(), output, films, version, margins=margins, seed=seed, say=typer.echo
    )
