"""Small convolutional networks for small images: a student to deploy, a teacher and student for tests, and a frame encoder."""

from __future__ import annotations

import copy
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from accountants import check

_SMALLEST_STRIDED = 8  # pixels a side; smaller inputs keep their side in the first block
_SMALLEST_MAP = 2  # pixels a side; no stride makes a map smaller


class LRNet16(nn.Module):
    """Embedding network for 16x16 images: 202,336 parameters, or 44,880 with depth-wise separable convolutions.

    `fuse(network)` is what to deploy: 202,016 (44,384) parameters, and never more than 52,224 (46,080) bytes of image and
    activations alive at a time for one image.

    Args:
        dim: size d of the embedding.
        channels: of the image.
        separable: whether convolutions are split into one per channel and one per pixel.
        fused: whether it is built in the form that `fuse` gives, to receive the weights of such a network.

    Attributes:
        config: the arguments, to build the network again.

    Raises:
        ValueError: a size below 1; in `forward`, images of another shape.

    Source: the size, memory and speed targets are those of bridge distillation (Ge et al., arXiv 2409.11786, abstract); the
    layers are ours.

    Example:
        >>> count = lambda network: sum(weight.numel() for weight in network.parameters())
        >>> count(LRNet16()), count(fuse(LRNet16())), count(LRNet16(separable=True)), count(fuse(LRNet16(separable=True)))
        (202336, 202016, 44880, 44384)
    """

    side = 16

    def __init__(self, dim: int = 128, channels: int = 3, *, separable: bool = False, fused: bool = False) -> None:
        check.integer(dim=dim, channels=channels, at_least=1)
        super().__init__()
        self.config = {"dim": dim, "channels": channels, "separable": separable, "fused": fused}
        self.channels = channels
        widths = [24, 48, 96, 160] if separable else [32, 64, 96, 128]
        later = zip(pairwise(widths), (2, 2, 1), strict=True)
        self.blocks = nn.Sequential(
            _block(channels, widths[0], 1),
            *((_separable_block if separable else _block)(a, b, stride) for (a, b), stride in later),
        )
        self.embed = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], dim))
        if fused:
            _fold(self)

    def forward(self, x: Tensor) -> Tensor:
        """Embeddings, float32, shape (b, d), from images of shape (b, channels, 16, 16)."""
        _require_image(self, x, self.channels, self.side)
        return self.embed(self.blocks(x))


class SmallNet(nn.Module):
    """Embedding network of three convolutional blocks, for proofs and tests: a teacher at side 32, a student at side 8.

    Every block halves the side, but the first one of an input of at most 8x8 and those of 2x2 maps. With a `CosineHead` of
    200 classes the teacher has 101,808 parameters; the student, with 40 classes, has 42,416.

    Args:
        side: of the square input, pixels, >= 4.
        width: filters of the first block; the others have two and four times as many.
        dim: size d of the embedding.
        channels: of the image.
        fused: whether it is built in the form that `fuse` gives, to receive the weights of such a network.

    Attributes:
        config: the arguments, to build the network again.

    Raises:
        ValueError: a size out of range; in `forward`, images of another shape.

    Example:
        >>> count = lambda network: sum(weight.numel() for weight in network.parameters())
        >>> count(SmallNet(32)) + 200 * 64, count(SmallNet(8)) + 40 * 64
        (101808, 42416)
    """

    def __init__(
        self, side: int = 32, width: int = 16, dim: int = 64, channels: int = 1, *, fused: bool = False
    ) -> None:
        check.integer(side=side, at_least=4)
        check.integer(width=width, dim=dim, channels=channels, at_least=1)
        super().__init__()
        self.config = {"side": side, "width": width, "dim": dim, "channels": channels, "fused": fused}
        self.side, self.channels = side, channels
        self.blocks = nn.Sequential()
        for position, (a, b) in enumerate(pairwise([channels, width, 2 * width, 4 * width])):
            keeps = side <= (_SMALLEST_MAP if position else _SMALLEST_STRIDED)
            self.blocks.append(_block(a, b, 1 if keeps else 2))
            side = side if keeps else -(-side // 2)
        self.embed = nn.Sequential(nn.Flatten(), nn.Linear(4 * width * side * side, dim))
        if fused:
            _fold(self)

    def forward(self, x: Tensor) -> Tensor:
        """Embeddings, float32, shape (b, d), from images of shape (b, channels, side, side)."""
        _require_image(self, x, self.channels, self.side)
        return self.embed(self.blocks(x))


class TinyCNN(nn.Module):
    """Frame encoder of three strided blocks, 16, 32 and 64 channels; stands in for a pretrained one, with the same interface.

    Args:
        channels: of the image.
        maps: whether the answer is the last map and not its mean.
        fused: whether it is built in the form that `fuse` gives, to receive the weights of such a network.

    Attributes:
        config: the arguments, to build the network again.
        dim: 64, the channels of the answer.

    Raises:
        ValueError: `channels` below 1; in `forward`, anything but a batch of images with so many channels.

    Example:
        >>> import torch
        >>> TinyCNN()(torch.zeros(2, 3, 48, 40)).shape, TinyCNN(maps=True)(torch.zeros(2, 3, 48, 40)).shape
        (torch.Size([2, 64]), torch.Size([2, 64, 6, 5]))
    """

    dim = 64

    def __init__(self, channels: int = 3, *, maps: bool = False, fused: bool = False) -> None:
        check.integer(channels=channels, at_least=1)
        super().__init__()
        self.config = {"channels": channels, "maps": maps, "fused": fused}
        self.channels, self.maps = channels, maps
        self.blocks = nn.Sequential(*(_block(a, b, 2) for a, b in pairwise([channels, 16, 32, self.dim])))
        if fused:
            _fold(self)

    def forward(self, x: Tensor) -> Tensor:
        """The map, float32, shape (b, 64, ceil(h / 8), ceil(w / 8)), or its mean, shape (b, 64)."""
        _require_image(self, x, self.channels)
        found = self.blocks(x)
        return found if self.maps else found.mean(dim=(2, 3))


def fuse(network: nn.Module) -> nn.Module:
    """A copy for deployment, in eval mode, whose batch normalisations are folded into the convolutions before them.

    Wherever a `Conv2d` is directly followed by a `BatchNorm2d` in an `nn.Sequential`, the convolution takes over its running
    statistics and an identity is left in its place, so that layers keep their names. A ReLU after it overwrites its input.
    The outputs are those of `network.eval()` up to rounding. A network of this file says in its `config` that it is fused.

    Raises:
        ValueError: a normalisation to be folded has no running statistics.
    """
    fused = copy.deepcopy(network).eval()
    _fold(fused)
    if "fused" in vars(fused).get("config", ()):
        vars(fused)["config"] = {**vars(fused)["config"], "fused": True}
    return fused


def _fold(network: nn.Module) -> None:
    """Fold batch normalisations into the convolutions before them, in place; the network is in eval mode afterwards."""
    for name, sequence in network.eval().named_modules():
        if not isinstance(sequence, nn.Sequential):
            continue
        for position, (first, second) in enumerate(pairwise(list(sequence))):
            if not (isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d)):
                continue
            if second.running_mean is None:
                raise ValueError(
                    f"the normalisation {name}.{position + 1} keeps no running statistics, so that nothing can be folded; "
                    "build it with track_running_stats=True"
                )
            sequence[position] = fuse_conv_bn_eval(first, second)
            sequence[position + 1] = nn.Identity()
            if position + 2 < len(sequence) and isinstance(sequence[position + 2], nn.ReLU):
                sequence[position + 2] = nn.ReLU(inplace=True)


def _block(inputs: int, outputs: int, stride: int, *, kernel: int = 3, groups: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def _separable_block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        *_block(inputs, inputs, stride, groups=inputs),
        *_block(inputs, outputs, 1, kernel=1),
    )


def _require_image(network: nn.Module, x: Tensor, channels: int, side: int | None = None) -> None:
    sides = ("height", "width") if side is None else (side, side)
    if x.dim() != 4 or x.shape[1] != channels or (side is not None and x.shape[2:] != sides):
        wanted = ", ".join(map(str, ("b", channels, *sides)))
        raise ValueError(
            f"{type(network).__name__} was given shape {tuple(x.shape)}; it takes images of shape ({wanted}): resize them, or "
            "build the network for them"
        )
