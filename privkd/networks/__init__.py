"""Networks that privkd can build by itself: for teachers and students, heads, encoders, and small stand-ins for large ones."""

from typing import TYPE_CHECKING

from accountants import lazy_door

if TYPE_CHECKING:
    from privkd.networks.heads import CosineHead as CosineHead
    from privkd.networks.heads import PrototypeHead as PrototypeHead
    from privkd.networks.heads import SimplexHead as SimplexHead
    from privkd.networks.lowres import LRNet16 as LRNet16
    from privkd.networks.lowres import SmallNet as SmallNet
    from privkd.networks.lowres import TinyCNN as TinyCNN
    from privkd.networks.lowres import fuse as fuse
    from privkd.networks.projectors import Projector as Projector
    from privkd.networks.projectors import ResidualProjector as ResidualProjector
    from privkd.networks.small import ARCHITECTURES as ARCHITECTURES
    from privkd.networks.small import SEQUENTIAL as SEQUENTIAL
    from privkd.networks.small import ImageNetwork as ImageNetwork
    from privkd.networks.small import VectorNetwork as VectorNetwork
    from privkd.networks.small import architecture_of as architecture_of
    from privkd.networks.small import network_for as network_for
    from privkd.networks.taps import Tap as Tap

__getattr__, __dir__, __all__ = lazy_door(
    __name__,
    {
        "privkd.networks.heads": "CosineHead PrototypeHead SimplexHead",
        "privkd.networks.lowres": "LRNet16 SmallNet TinyCNN fuse",
        "privkd.networks.projectors": "Projector ResidualProjector",
        "privkd.networks.small": "ARCHITECTURES ImageNetwork SEQUENTIAL VectorNetwork architecture_of network_for",
        "privkd.networks.taps": "Tap",
    },
)
