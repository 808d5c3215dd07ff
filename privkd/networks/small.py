"""Two small networks, for vectors and for images, which standardise their inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn

from accountants import check
from privkd.data.labels import Label, declared_classes
from privkd.networks.prediction import Predicting

_SMALLEST_IMAGE = 12  # pixels a side; below, convolutions gain nothing over a perceptron
_GROUPS = 4  # of the normalisation


class _StandardisingNetwork(Predicting):
    """A network that can be built again from its `config` and standardises its inputs.

    Args:
        config: the arguments of the network but the labels.
        labels: one name per class, or None.
        scales: numbers of input scales, one per value or one for all.

    Raises:
        ValueError: not one name per class.
    """

    def __init__(self, config: dict[str, Any], labels: Sequence[Label] | None, scales: int) -> None:
        super().__init__()
        self.config = config
        names = None if labels is None else declared_classes(labels).labels
        if names is not None and len(names) == config["classes"]:
            self.config = config | {"labels": list(names)}
        elif labels is not None:
            raise ValueError(f"labels has {len(names or ())} names for classes={config['classes']}; give one per class")
        self.shift: Tensor  # annotated here, since torch.jit.script cannot read annotations of the class
        self.scale: Tensor
        self.register_buffer("shift", torch.zeros(scales))
        self.register_buffer("scale", torch.ones(scales))


class VectorNetwork(_StandardisingNetwork):
    """Multi-layer perceptron on standardised vectors; also takes images, flattened.

    Args:
        features: number of input values d.
        classes: number of classes K.
        hidden: width of the hidden layers.
        layers: number of hidden layers.
        labels: what the classes are called, by index; `predict` gives these. Public.

    Attributes:
        config: the arguments, to build the network again.
        shift: subtracted from the inputs, shape (d,); zeros at first.
        scale: what they are then divided by, shape (d,); ones at first.
    """

    def __init__(
        self, features: int, classes: int, hidden: int = 128, layers: int = 1, labels: Sequence[Label] | None = None
    ) -> None:
        check.integer(features=features, at_least=1)
        check.integer(classes=classes, at_least=2)
        check.integer(hidden=hidden, layers=layers, at_least=1)
        super().__init__(
            {"features": features, "classes": classes, "hidden": hidden, "layers": layers}, labels, features
        )
        widths = [features] + [hidden] * layers
        blocks = [nn.Sequential(nn.Linear(a, b), nn.ReLU()) for a, b in pairwise(widths)]
        self.body = nn.Sequential(*blocks, nn.Linear(hidden, classes))

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.config["features"],)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, float32, shape (b, K), from inputs of shape (b, d) or (b, C, H, W)."""
        return self.body((x.flatten(1) - self.shift) / self.scale)


class ImageNetwork(_StandardisingNetwork):
    """Small convolutional network with group normalisation, for images with sides of at least 4 pixels.

    Args:
        channels: image channels.
        height: pixels.
        width: pixels.
        classes: number of classes K.
        filters: filters of the first layer, a multiple of 4; the second has twice as many.
        labels: what the classes are called, by index; `predict` gives these. Public.

    Attributes:
        config: the arguments, to build the network again.
        shift: subtracted from every pixel, shape (1,); zero at first.
        scale: what it is then divided by, shape (1,); one at first.
    """

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        classes: int,
        filters: int = 16,
        labels: Sequence[Label] | None = None,
    ) -> None:
        check.integer(channels=channels, at_least=1)
        check.integer(height=height, width=width, at_least=4)
        check.integer(classes=classes, at_least=2)
        check.integer(filters=filters, at_least=4)
        sides = {"channels": channels, "height": height, "width": width}
        super().__init__({**sides, "classes": classes, "filters": filters}, labels, 1)
        cells = min(4, height // 2), min(4, width // 2)
        self.body = nn.Sequential(
            nn.Conv2d(channels, filters, 3, stride=2, padding=1),  # strides instead of pooling: four times faster
            nn.GroupNorm(_GROUPS, filters),
            nn.ReLU(),
            nn.Conv2d(filters, 2 * filters, 3, stride=2, padding=1),
            nn.GroupNorm(_GROUPS, 2 * filters),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(cells),
            nn.Flatten(),
            nn.Linear(2 * filters * math.prod(cells), 128),
            nn.ReLU(),
            nn.Linear(128, classes),
        )

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.config["channels"], self.config["height"], self.config["width"])

    def forward(self, x: Tensor) -> Tensor:
        """Logits, float32, shape (b, K), from images of shape (b, C, H, W)."""
        return self.body((x - self.shift) / self.scale)


def network_for(
    shape: tuple[int, ...],
    classes: int,
    *,
    network: Literal["auto", "mlp", "cnn"] = "auto",
    hidden: int = 128,
    layers: int = 1,
    filters: int = 16,
    labels: Sequence[Label] | None = None,
) -> VectorNetwork | ImageNetwork:
    """A fresh network for inputs of this shape.

    Args:
        shape: `(d,)` or `(channels, height, width)`.
        classes: number of classes K.
        network: `mlp` for the perceptron, `cnn` for the convolutional network, or `auto`: cnn for images with at least 12
            pixels a side.
        hidden: width of the perceptron's hidden layers.
        layers: number of the perceptron's hidden layers.
        filters: width of the convolutional network's first layer, a multiple of 4.
        labels: what the classes are called, by index, if anything.

    Raises:
        ValueError: a cnn for inputs that are no images, or with a width that it cannot have.

    Example:
        >>> type(network_for((1, 28, 28), 10)).__name__, type(network_for((1, 8, 8), 10)).__name__
        ('ImageNetwork', 'VectorNetwork')
    """
    is_image = len(shape) == 3
    if network == "cnn" and not is_image:
        raise ValueError(f"network='cnn' needs images (channels, height, width), but the inputs are {shape}; use mlp")
    if network == "mlp" or not is_image or (network == "auto" and min(shape[1:]) < _SMALLEST_IMAGE):
        return VectorNetwork(math.prod(shape), classes, hidden, layers, labels)
    if filters % _GROUPS:
        raise ValueError(f"width={filters} must be a multiple of 4 for the cnn, which normalises in groups")
    return ImageNetwork(*shape, classes, filters, labels)


def standardise(student: nn.Module, inputs: Tensor) -> None:
    """Set the input scaling of a default student from PUBLIC or generated inputs; others are left alone."""
    if isinstance(student, ImageNetwork):
        student.shift.fill_(float(inputs.mean()))
        student.scale.fill_(max(float(inputs.std()), 1e-6))
    elif isinstance(student, VectorNetwork):
        flat = inputs.flatten(1).float()
        spread = flat.std(dim=0, correction=0)
        student.shift.copy_(flat.mean(dim=0))
        student.scale.copy_(spread.clamp(min=max(float(spread.median()), 1e-6)))
