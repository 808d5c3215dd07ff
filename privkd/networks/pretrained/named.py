"""Published encoders by one string, as settings of recipes hold them."""

from __future__ import annotations

from typing import Any

from torch import nn

from privkd.networks.pretrained.frames import MaeHF, TimmEncoder, TorchvisionEncoder
from privkd.networks.pretrained.hub import Weights
from privkd.networks.pretrained.image_texts import ClipHF, OpenClip
from privkd.networks.pretrained.texts import BertHF

ADAPTERS: dict[str, type[nn.Module]] = {
    "bert": BertHF,
    "clip": ClipHF,
    "mae": MaeHF,
    "open-clip": OpenClip,
    "timm": TimmEncoder,
    "torchvision": TorchvisionEncoder,
}
"""The adapters by the first part of a name."""


def encoder(
    name: str, *, weights: Weights = "pretrained", local_files_only: bool = False, **settings: Any
) -> nn.Module:
    """The encoder of a name such as "timm:resnet18", "clip:openai/clip-vit-base-patch32" or "open-clip:ViT-B-32/openai".

    Args:
        name: the adapter, a colon, and the model as its library calls it; for open_clip the architecture, a slash, and the tag
            of its weights.
        weights: "pretrained", or None for random ones.
        local_files_only: whether nothing may be downloaded.
        **settings: further arguments of the adapter, such as `maps=True`.

    Raises:
        ValueError: an unknown adapter, or a model that its library does not have.
        ImportError: its library is not installed.
        FileNotFoundError: nothing may be downloaded, and files are missing.

    Example:
        >>> encoder("timn:resnet18")
        Traceback (most recent call last):
        ValueError: name='timn:resnet18' must be ADAPTER:MODEL, with an adapter of bert, clip, mae, open-clip, timm, torchvision
    """
    adapter, _, model = name.partition(":")
    if adapter not in ADAPTERS or not model:
        raise ValueError(f"name={name!r} must be ADAPTER:MODEL, with an adapter of {', '.join(ADAPTERS)}")
    if adapter == "open-clip":
        architecture, _, tag = model.partition("/")
        if weights is not None and not tag:
            raise ValueError(f"name={name!r} needs the tag of its weights, such as open-clip:{architecture}/openai")
        chosen = tag if weights is not None else None
        return OpenClip(architecture, chosen, local_files_only=local_files_only, **settings)
    return ADAPTERS[adapter](model, weights=weights, local_files_only=local_files_only, **settings)
