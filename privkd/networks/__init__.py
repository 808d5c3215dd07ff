"""Networks that privkd can build by itself, and save and load by name: for teachers and for students."""

from typing import TYPE_CHECKING

from accountants import lazy_door

if TYPE_CHECKING:
    from privkd.networks.small import ARCHITECTURES as ARCHITECTURES
    from privkd.networks.small import SEQUENTIAL as SEQUENTIAL
    from privkd.networks.small import ImageNetwork as ImageNetwork
    from privkd.networks.small import VectorNetwork as VectorNetwork
    from privkd.networks.small import architecture_of as architecture_of
    from privkd.networks.small import network_for as network_for

__getattr__, __dir__, __all__ = lazy_door(
    __name__,
    {"privkd.networks.small": "ARCHITECTURES ImageNetwork SEQUENTIAL VectorNetwork architecture_of network_for"},
)
