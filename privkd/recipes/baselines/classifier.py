"""Classifier: a small network for labelled records, by cross-entropy.

Ours, with no paper behind it: the plain baseline that every published recipe must beat, and the shortest example of one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from accountants import check
from privkd.data.bundled import all_digits
from privkd.data.records import Records
from privkd.losses import cross_entropy
from privkd.networks import network_for
from privkd.networks.small import standardise
from privkd.plain import make_plain
from privkd.recipes.card import Card
from privkd.recipes.catalogue import register
from privkd.recipes.recipe import Recipe
from privkd.trainer.batch import Batch
from privkd.trainer.context import Context
from privkd.trainer.task import Losses, Stage, Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROWS = 1000  # of held-out records at a time


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """Settings; the defaults train on the bundled digits in a few seconds.

    Attributes:
        epochs: passes over the training rows, >= 1.
        batch_size: rows per step, >= 1.
        lr: learning rate of Adam, > 0.
        network: `mlp`, `cnn` (images only), or `auto` for cnn on images of at least 12 pixels a side.
        width: hidden units of the mlp (default 128), or filters of the cnn's first layer, a multiple of 4 (default 16).
        layers: hidden layers of the mlp, >= 1.
        standardise: whether inputs are standardised by their own mean and spread; a private run takes them as they are.
        held_out: fraction of the records that is not trained on and shows the accuracy, in [0, 1); 0 for none.
        split_seed: of the choice of these records; the seed of the run does not move it.

    Raises:
        TypeError, ValueError: a field is out of range.
    """

    epochs: int = 20
    batch_size: int = 64
    lr: float = 2e-3
    network: Literal["auto", "mlp", "cnn"] = "auto"
    width: int | None = None
    layers: int = 1
    standardise: bool = True
    held_out: float = 0.1
    split_seed: int = 0

    def __post_init__(self) -> None:
        make_plain(self)
        check.integer(epochs=self.epochs, batch_size=self.batch_size, layers=self.layers, at_least=1)
        check.integer(split_seed=self.split_seed, at_least=0)
        check.real(lr=self.lr, above=0.0)
        check.real(held_out=self.held_out, at_least=0.0, below=1.0)
        if self.width is not None:
            check.integer(width=self.width, at_least=1)
        if self.network not in ("auto", "mlp", "cnn"):
            raise ValueError(f"network={self.network!r} must be auto, mlp or cnn")


class Classification(Task):
    """Cross-entropy of one network; `validate` reports its accuracy on held-out rows.

    Args:
        network: gives logits, shape (b, K).
        lr: learning rate of Adam.
        held_out: inputs and labels, or None.
    """

    def __init__(self, network: nn.Module, *, lr: float, held_out: tuple[Tensor, Tensor] | None) -> None:
        super().__init__(
            modules={"network": network}, optimizers={"network": torch.optim.Adam(network.parameters(), lr=lr)}
        )
        self.held_out = held_out

    def per_record(self, batch: Batch, context: Context) -> Losses:
        inputs, labels = batch.tensors
        return {"cross-entropy": cross_entropy(self.modules["network"](inputs), labels, reduction="none")}

    def validate(self, context: Context) -> Mapping[str, float]:
        """The fraction of held-out rows whose largest logit is that of their class."""
        if self.held_out is None:
            return {}
        return {"accuracy": accuracy(self.modules["network"], *self.held_out, device=context.device)}


@torch.no_grad()
def accuracy(network: nn.Module, inputs: Tensor, labels: Tensor, *, device: torch.device | str = "cpu") -> float:
    """The fraction of rows whose largest logit is that of their class.

    Args:
        network: on the device, in eval mode.
        inputs: shape (n, ...), n >= 1.
        labels: int64, shape (n,).
        device: where the network is.
    """
    right = 0
    for x, y in zip(inputs.split(_ROWS), labels.split(_ROWS), strict=True):
        right += int((network(x.to(device)).argmax(dim=1).cpu() == y).sum())
    return right / len(labels)


def split(records: Records, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Rows to train on and rows to hold out, int64.

    Args:
        records: n of them.
        fraction: held out, in [0, 1); more than 0 holds out at least one row.
        seed: of the choice.

    Raises:
        ValueError: no row is left to train on.
    """
    count = math.ceil(fraction * len(records))
    if count >= len(records):
        raise ValueError(
            f"held_out={fraction} leaves none of {len(records)} records to train on; lower it, or set it to 0"
        )
    order = torch.randperm(len(records), generator=torch.Generator().manual_seed(seed))
    return order[count:], order[:count]


def evaluate(modules: Mapping[str, Any], records: Records) -> Mapping[str, float]:
    """Accuracy of the network on labelled records."""
    require_labels(records)
    assert records.labels is not None
    return {"accuracy": accuracy(modules["network"], records.inputs, records.labels)}


def picture(modules: Mapping[str, Any], records: Records) -> Figure:
    """The confusion matrix of the network on labelled records: rows are true classes, each sums to 1."""
    from matplotlib.figure import Figure

    require_labels(records)
    assert records.labels is not None
    with torch.no_grad():
        given = torch.cat([modules["network"](x).argmax(dim=1) for x in records.inputs.split(_ROWS)])
    classes = max(records.classes, int(given.max()) + 1)
    counts = torch.bincount(records.labels * classes + given, minlength=classes**2).reshape(classes, classes).double()
    figure = Figure(figsize=(5, 4.5), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow((counts / counts.sum(dim=1, keepdim=True).clamp(min=1)).numpy(), vmin=0, vmax=1, cmap="Blues")
    axes.set(xlabel="predicted class", ylabel="true class", title=f"{records.name}: share of each true class")
    figure.colorbar(image, ax=axes)
    return figure


def require_labels(records: Records) -> None:
    """Refuse records that a classifier cannot learn from.

    Raises:
        ValueError: they have no labels, or fewer than two classes.
    """
    if records.labels is None:
        raise ValueError(f"records {records.name!r} have no labels; a classifier learns from labelled records")
    if records.classes < 2:
        raise ValueError(f"records {records.name!r} have one class only; a classifier needs at least two")


def _card(config: ClassifierConfig) -> Card:
    read = {
        "mean and spread of the inputs (standardise)": config.standardise,
        "how many records there are, which moves those held out": config.held_out > 0,
    }
    return Card(
        title="a small network for labelled records, by cross-entropy; the baseline of the others",
        ours=("All of it: no paper stands behind it.",),
        proof="0.95 and more of held-out bundled digits, and no better than chance on shuffled labels",
        processes=True,
        private_statistics=tuple(name for name, is_read in read.items() if is_read),
    )


@register("classifier")
def classifier(config: ClassifierConfig = ClassifierConfig()) -> Recipe[Records]:
    """The recipe `classifier`; deploys `network`.

    Args:
        config: settings of the network and of its training.
    """

    def stages(records: Records) -> Sequence[Stage]:
        require_labels(records)
        assert records.labels is not None
        rows, held_out = split(records, config.held_out, config.split_seed)
        network = network_for(
            records.shape,
            records.classes,
            network=config.network,
            hidden=config.width or 128,
            layers=config.layers,
            filters=config.width or 16,
        )
        inputs, labels = records.inputs[rows], records.labels[rows]
        if config.standardise:
            standardise(network, inputs)
        shown = (records.inputs[held_out], records.labels[held_out]) if len(held_out) else None
        return [Stage("training", Classification(network, lr=config.lr, held_out=shown), (inputs, labels))]

    return Recipe(
        name="classifier",
        config=config,
        data=Records,
        card=_card(config),
        stages=stages,
        deploy=("network",),
        evaluate=evaluate,
        picture=picture,
        example=all_digits,
        private=lambda: classifier(replace(config, standardise=False, held_out=0.0)),
    )
