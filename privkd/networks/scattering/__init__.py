"""Public, data-independent features: what can be computed from one record alone costs no privacy.

Knows images and filters; knows nothing of privacy, training or models. Importing it loads no torch.
"""

from typing import TYPE_CHECKING

from accountants import lazy_door

if TYPE_CHECKING:
    from privkd.networks.scattering.scattering import Scattering as Scattering

__getattr__, __dir__, __all__ = lazy_door(__name__, {"privkd.networks.scattering.scattering": "Scattering"})
