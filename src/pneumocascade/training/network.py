"""Building, filling and freezing a backbone, and its two-output form."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pneumocascade.errors import TrainingError
from pneumocascade.model.spec import DEFAULT_BACKBONE
from pneumocascade.training.backbones import backbone_of
from pneumocascade.training.starting_weights import StartingWeights


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What starting weights filled.

    Attributes
    ----------
    loaded, fresh : tuple of str
        Parameters and buffers taken from the file, and those initialised afresh.
    stride_in_1x1 : bool
        Layout of the network, kept with its trained weights.
    """

    loaded: tuple[str, ...]
    fresh: tuple[str, ...]
    stride_in_1x1: bool = False

    def modules_afresh(self) -> list[str]:
        """Return the top-level modules that start afresh, for people to read."""
        return sorted({name.split(".")[0] for name in self.fresh})


def build_network(backbone: str = DEFAULT_BACKBONE, *, stride_in_1x1: bool = False) -> nn.Module:
    """Return a backbone with two classes; a ResNet's parameter names are torchvision's.

    Parameters
    ----------
    backbone : str
        See :data:`~pneumocascade.training.backbones.BACKBONES`.
    stride_in_1x1 : bool
        See :class:`~pneumocascade.training.starting_weights.StartingWeights`.

    Raises
    ------
    UsageError
        For an unknown backbone.
    """
    network = backbone_of(backbone).build(stride_in_1x1)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def load_weights(
    network: nn.Module, weights: StartingWeights, backbone: str = DEFAULT_BACKBONE
) -> LoadReport:
    """Fill a network with starting weights, as far as names and shapes agree.

    The classifier starts afresh unless the weights are of the same task.

    Raises
    ------
    TrainingError
        Where nothing agrees.
    """
    kind = backbone_of(backbone)
    own = network.state_dict()
    take = {
        name: value.to(own[name].dtype)
        for name, value in weights.tensors.items()
        if name in own
        and own[name].shape == value.shape
        and (weights.same_task or not name.startswith(f"{kind.classifier}."))
    }
    if not take:
        raise TrainingError(
            f"{weights.name} holds no weight of a {kind.title} (names as in torchvision were expected)"
        )
    network.load_state_dict(take, strict=False)
    fresh = tuple(name for name in own if name not in take and not name.endswith("num_batches_tracked"))
    return LoadReport(tuple(take), fresh, weights.stride_in_1x1)


def unfold_batch_norm(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Give batch norms the statistics of films without changing what the network computes.

    Exported models hold batch norm folded into the convolutions: its mean and variance are 0 and 1, whatever
    the activations are, and in training, which normalises by those of each batch, the network would compute
    something else. Afterwards mean and variance are those of the films, and scale and shift undo them.

    Parameters
    ----------
    network : nn.Module
        Is left in evaluation mode.
    batches : iterable of Tensor, shape (N, 3, S, S)
        At least one.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    sums = {norm: torch.zeros(3, norm.num_features, dtype=torch.float64) for norm in norms}

    def gather(norm: nn.Module, given: tuple[Tensor, ...]) -> None:
        values, wide = given[0], torch.float64  # (N, C, H, W)
        count = torch.full((values.shape[1],), values.numel() / values.shape[1], dtype=wide)
        places = (0, 2, 3)
        sums[norm] += torch.stack(  # type: ignore[index]
            [count, values.sum(places, dtype=wide), values.square().sum(places, dtype=wide)]
        )

    hooks = [norm.register_forward_pre_hook(gather) for norm in norms]
    network.eval()
    with torch.inference_mode():
        for batch in batches:
            network(batch)
    for hook in hooks:
        hook.remove()
    with torch.no_grad():
        for norm in norms:
            assert norm.running_mean is not None
            assert norm.running_var is not None
            count, total, squares = sums[norm]
            mean = total / count
            variance = (squares / count - mean.square()).clamp(min=0)
            scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
            norm.bias.copy_(norm.bias + (mean - norm.running_mean) * scale)
            norm.weight.copy_(scale * (variance + norm.eps).sqrt())
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)


def freeze(network: nn.Module, stages: int, backbone: str = DEFAULT_BACKBONE) -> None:
    """Exclude the first modules from training.

    Their batch norm keeps the statistics it came with, as long as :func:`train_mode` is used.

    Parameters
    ----------
    network : nn.Module
    stages : int
        0 none, 1 the stem, 2 the stem and the next stage (``layer1``), up to 5: all but the classifier.
    backbone : str
    """
    for module in frozen_modules(network, stages, backbone):
        module.requires_grad_(False)


def frozen_modules(network: nn.Module, stages: int, backbone: str = DEFAULT_BACKBONE) -> list[nn.Module]:
    """Return the modules that :func:`freeze` excludes."""
    groups = backbone_of(backbone).stages[:stages]
    return [network.get_submodule(name) for group in groups for name in group]


def train_mode(network: nn.Module, frozen_stages: int, backbone: str = DEFAULT_BACKBONE) -> None:
    """Set training mode, but leave frozen modules in evaluation mode."""
    network.train()
    for module in frozen_modules(network, frozen_stages, backbone):
        module.eval()


class WithFeatures(nn.Module):
    """A network that also returns its last feature map.

    Parameters
    ----------
    network : nn.Module
        From :func:`build_network`.
    backbone : str
    """

    def __init__(self, network: nn.Module, backbone: str = DEFAULT_BACKBONE) -> None:
        super().__init__()
        self.network = network
        self.backbone = backbone_of(backbone)

    def forward(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (N, 2) and feature map (N, C, S / R, S / R) of a batch (N, 3, S, S).

        R is the backbone's ``reduction``.
        """
        features = self.backbone.features(self.network, batch)
        pooled = features.mean(dim=(2, 3))  # (N, C)
        logits: Tensor = self.backbone.classifier_of(self.network)(pooled)
        return logits, features
