"""Published encoders by name, behind the interfaces of the small ones; `pip install privkd[pretrained]` gets their libraries."""

from typing import TYPE_CHECKING

from accountants import lazy_door

if TYPE_CHECKING:
    from privkd.networks.pretrained.frames import MaeHF as MaeHF
    from privkd.networks.pretrained.frames import TimmEncoder as TimmEncoder
    from privkd.networks.pretrained.frames import TorchvisionEncoder as TorchvisionEncoder
    from privkd.networks.pretrained.image_texts import ClipHF as ClipHF
    from privkd.networks.pretrained.image_texts import OpenClip as OpenClip
    from privkd.networks.pretrained.named import encoder as encoder
    from privkd.networks.pretrained.texts import BertHF as BertHF

__getattr__, __dir__, __all__ = lazy_door(
    __name__,
    {
        "privkd.networks.pretrained.frames": "MaeHF TimmEncoder TorchvisionEncoder",
        "privkd.networks.pretrained.image_texts": "ClipHF OpenClip",
        "privkd.networks.pretrained.named": "encoder",
        "privkd.networks.pretrained.texts": "BertHF",
    },
)
