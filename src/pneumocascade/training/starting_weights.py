"""Where the weights come from that training starts with: ImageNet, a file, exported models, another run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from pneumocascade.errors import TrainingError
from pneumocascade.model.spec import DEFAULT_BACKBONE, IMAGENET_RGB_MEAN
from pneumocascade.model.store import MANIFEST, bundled_models, read_manifest
from pneumocascade.training.backbones import backbone_of
from pneumocascade.training.checkpoint import save_tensors
from pneumocascade.training.recover_weights import recover

WEIGHTS = "weights.safetensors"
"""Name of a trained stage's weights in the folder of its run."""

BATCH_NORM = "batch_norm"
FOLDED = "folded"
"""Key and value in the metadata of a file whose batch norm is folded into the convolutions."""

Mean = tuple[float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class StartingWeights:
    """Weights to start from and the input they were trained on.

    Attributes
    ----------
    name : str
        Where they come from, for people to read.
    tensors : mapping of str to Tensor
        By the network's own names, for a ResNet torchvision's; may be partial.
    stride_in_1x1 : bool
        Whether a stage of a ResNet-50 halves its resolution in the first 1 x 1 convolution (the paper's
        layout) rather than in the 3 x 3 (torchvision's).
    mean, std : tuple of float
        RGB normalisation in grey values 0..255.
    same_task : bool
        Whether they are of a model of the same stage, so that the classifier is kept.
    folded : bool
        Whether batch norm is folded into the convolutions; see
        :func:`~pneumocascade.training.network.unfold_batch_norm`.
    """

    name: str
    tensors: Mapping[str, Tensor]
    stride_in_1x1: bool
    mean: Mean
    std: Mean
    same_task: bool = False
    folded: bool = False


def find_weights(weights: str, backbone: str = DEFAULT_BACKBONE, stage: int = 1) -> StartingWeights:
    """Return starting weights of a backbone.

    Parameters
    ----------
    weights : str
        ``"imagenet"`` to fetch the full weights by name, ``"bundled"`` for the models that come with the
        package, a folder of models, the folder of a run, or a safetensors file. Of models and runs the
        weights of ``stage`` are taken, with the classifier.
    backbone : str
        See :data:`~pneumocascade.training.backbones.BACKBONES`.
    stage : int
        1 or 2.

    Raises
    ------
    TrainingError
        Where there are none, they are damaged or of another backbone, or the network does not give them.
    ModelError
        Where models cannot be loaded.
    UsageError
        For an unknown backbone.
    """
    backbone_of(backbone)
    if weights == "imagenet":
        path = _fetch_imagenet(backbone)
        mean, std = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
        return StartingWeights(path.name, load_file(path), False, mean, std)
    path = bundled_models() if weights == "bundled" else Path(weights)
    if path.is_dir() and not has_stage(weights, stage):
        raise TrainingError(
            f"{path} has no stage {stage}: no model of it with a {MANIFEST}, and no stage{stage}/{WEIGHTS}"
        )
    if (path / MANIFEST).exists():
        recovered = recover(path, f"stage{stage}")
        spec = recovered.spec
        _check_backbone(weights, spec.backbone, backbone)
        name = f"stage {stage} of models {spec.version}"
        return StartingWeights(
            name, recovered.tensors, recovered.stride_in_1x1, spec.mean, spec.std, same_task=True, folded=True
        )
    if path.is_dir():
        return _from_file(path / f"stage{stage}" / WEIGHTS, backbone, same_task=True)
    return _from_file(path, backbone)


def absolute_weights(weights: str) -> str:
    """Return starting weights as a run keeps them: a path that is there is made absolute."""
    if weights in ("imagenet", "bundled") or not Path(weights).exists():
        return weights
    return str(Path(weights).resolve())


def has_stage(weights: str, stage: int) -> bool:
    """Return whether starting weights are models or a run that hold a stage."""
    path = bundled_models() if weights == "bundled" else Path(weights)
    if (path / MANIFEST).exists():
        return f"stage{stage}" in read_manifest(path).files
    return (path / f"stage{stage}" / WEIGHTS).exists()


def write_weights(models: Path, stage: str, path: Path) -> None:
    """Write the weights of one stage of exported models as a safetensors file that training can start from.

    Parameters
    ----------
    models : Path
        Folder of models.
    stage : {"stage1", "stage2"}
    path : Path

    Raises
    ------
    ModelError, TrainingError
        As :func:`~pneumocascade.training.recover_weights.recover`.
    StorageError
        Where the file cannot be written.
    """
    found = recover(models, stage)
    spec = found.spec
    metadata = metadata_of(spec.backbone, spec.mean, spec.std, stride_in_1x1=found.stride_in_1x1)
    save_tensors(path, found.tensors, metadata | {BATCH_NORM: FOLDED, "model_version": spec.version})


def _from_file(path: Path, backbone: str, *, same_task: bool = False) -> StartingWeights:
    if not path.is_file():
        raise TrainingError(
            f"there are no starting weights at {path}; give a safetensors file, a folder of models or of a "
            "run, 'bundled' or 'imagenet'"
        )
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise TrainingError(f"{path} is not a whole safetensors file: {error}") from error
    _check_backbone(str(path), metadata.get("backbone", backbone), backbone)
    mean = _triple(metadata.get("mean"), IMAGENET_RGB_MEAN, path)
    std = _triple(metadata.get("std"), (1.0, 1.0, 1.0), path)
    if not all(part > 0 for part in std):
        raise TrainingError(f"{path} says that its input was divided by std = {std}; expected values above 0")
    return StartingWeights(
        path.name,
        tensors,
        "first 1x1" in metadata.get("stride", ""),
        mean,
        std,
        same_task=same_task,
        folded=metadata.get(BATCH_NORM) == FOLDED,
    )


def _check_backbone(source: str, found: str, wanted: str) -> None:
    if found != wanted:
        raise TrainingError(
            f"{source} holds weights of {found}, but the backbone is {wanted}: give --backbone {found}, or "
            "other weights"
        )


def metadata_of(backbone: str, mean: Mean, std: Mean, *, stride_in_1x1: bool) -> dict[str, str]:
    """Return what :func:`find_weights` reads of a safetensors file's metadata."""
    return {
        "backbone": backbone,
        "stride": "first 1x1" if stride_in_1x1 else "3x3",
        "mean": " ".join(map(str, mean)),
        "std": " ".join(map(str, std)),
    }


def _triple(text: str | None, default: Mean, path: Path) -> Mean:
    """Read three numbers of a file's metadata, such as ``"123.7 116.3 103.5"``."""
    if text is None:
        return default
    try:
        red, green, blue = map(float, text.split())
    except ValueError as error:
        raise TrainingError(
            f"the metadata of {path} has {text!r} for mean or std; expected three numbers, one a channel"
        ) from error
    return red, green, blue


def _fetch_imagenet(backbone: str) -> Path:
    repository, file = backbone_of(backbone).imagenet
    try:
        from huggingface_hub import hf_hub_download

        return Path(hf_hub_download(repository, file))
    except Exception as error:  # offline, proxy, missing package: many kinds, one advice
        raise TrainingError(
            f"the ImageNet weights {repository} could not be fetched ({error}); "
            "fetch them elsewhere and give the file with --start-from FILE"
        ) from error
