"""The architectures that files may name, and how a network is described so that it can be built again.

Files name an architecture of this list, never a class to import, so that reading a file cannot run code. A class that enters
it keeps its arguments, as JSON values, in `config`; all that they make larger is bounded by the weights in the file.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from privkd.networks.layers import layers_of
from privkd.networks.lowres import LRNet16, SmallNet, TinyCNN
from privkd.networks.small import ImageNetwork, VectorNetwork
from privkd.networks.unet import UNetSmall
from privkd.networks.vit import TinyViT

SEQUENTIAL = "sequential"
"""What an `nn.Sequential` of common layers is called in files."""

ARCHITECTURES: dict[str, type[nn.Module]] = {
    "vector-network": VectorNetwork,
    "image-network": ImageNetwork,
    "lrnet16": LRNet16,
    "small-net": SmallNet,
    "tiny-cnn": TinyCNN,
    "tiny-vit": TinyViT,
    "unet-small": UNetSmall,
}


def architecture_of(network: nn.Module) -> dict[str, Any]:
    """How to build a network again: its registered name and settings, or the class of a foreign module.

    Example:
        >>> architecture_of(VectorNetwork(4, 3))["architecture"], architecture_of(nn.Identity())["class"]
        ('vector-network', 'torch.nn.modules.linear.Identity')
        >>> architecture_of(nn.Sequential(nn.Tanh()))
        {'architecture': 'sequential', 'settings': {'layers': [{'name': '0', 'layer': 'Tanh', 'settings': {}}]}}
    """
    for name, kind in ARCHITECTURES.items():
        if type(network) is kind:
            return {"architecture": name, "settings": dict(network.config)}  # type: ignore[arg-type]  # all have one
    layers = layers_of(network)
    if layers is not None:
        return {"architecture": SEQUENTIAL, "settings": {"layers": layers}}
    return {"architecture": "foreign", "class": f"{type(network).__module__}.{type(network).__qualname__}"}
