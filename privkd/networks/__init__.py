"""Networks that privkd can build by itself: for teachers and students, heads, encoders, and small stand-ins for large ones."""

from typing import TYPE_CHECKING

from accountants import lazy_door

if TYPE_CHECKING:
    from privkd.networks.architectures import ARCHITECTURES as ARCHITECTURES
    from privkd.networks.architectures import SEQUENTIAL as SEQUENTIAL
    from privkd.networks.architectures import architecture_of as architecture_of
    from privkd.networks.center_head import CenterHead as CenterHead
    from privkd.networks.center_head import CenterMaps as CenterMaps
    from privkd.networks.crops import Window as Window
    from privkd.networks.crops import clamp_box as clamp_box
    from privkd.networks.crops import context_side as context_side
    from privkd.networks.crops import hann2d as hann2d
    from privkd.networks.crops import near_centre as near_centre
    from privkd.networks.crops import scaled_side as scaled_side
    from privkd.networks.heads import CosineHead as CosineHead
    from privkd.networks.heads import PrototypeHead as PrototypeHead
    from privkd.networks.heads import SimplexHead as SimplexHead
    from privkd.networks.image_text import FrameEncoder as FrameEncoder
    from privkd.networks.image_text import ImageTextEncoder as ImageTextEncoder
    from privkd.networks.image_text import MiniCLIP as MiniCLIP
    from privkd.networks.image_text import TextEncoder as TextEncoder
    from privkd.networks.lowres import LRNet16 as LRNet16
    from privkd.networks.lowres import SmallNet as SmallNet
    from privkd.networks.lowres import TinyCNN as TinyCNN
    from privkd.networks.lowres import fuse as fuse
    from privkd.networks.projectors import Projector as Projector
    from privkd.networks.projectors import ResidualProjector as ResidualProjector
    from privkd.networks.selective_scan import ScanState as ScanState
    from privkd.networks.selective_scan import SelectiveScan as SelectiveScan
    from privkd.networks.selective_scan import scan as scan
    from privkd.networks.small import ImageNetwork as ImageNetwork
    from privkd.networks.small import VectorNetwork as VectorNetwork
    from privkd.networks.small import network_for as network_for
    from privkd.networks.taps import Tap as Tap
    from privkd.networks.text import TinyText as TinyText
    from privkd.networks.text import Vocabulary as Vocabulary
    from privkd.networks.transformer import TransformerEncoder as TransformerEncoder
    from privkd.networks.unet import UNetEncoder as UNetEncoder
    from privkd.networks.unet import UNetSmall as UNetSmall
    from privkd.networks.vit import FactorisedPositions as FactorisedPositions
    from privkd.networks.vit import PatchTokenizer as PatchTokenizer
    from privkd.networks.vit import TinyViT as TinyViT

__getattr__, __dir__, __all__ = lazy_door(
    __name__,
    {
        "privkd.networks.architectures": "ARCHITECTURES SEQUENTIAL architecture_of",
        "privkd.networks.center_head": "CenterHead CenterMaps",
        "privkd.networks.crops": "Window clamp_box context_side hann2d near_centre scaled_side",
        "privkd.networks.heads": "CosineHead PrototypeHead SimplexHead",
        "privkd.networks.image_text": "FrameEncoder ImageTextEncoder MiniCLIP TextEncoder",
        "privkd.networks.lowres": "LRNet16 SmallNet TinyCNN fuse",
        "privkd.networks.projectors": "Projector ResidualProjector",
        "privkd.networks.selective_scan": "ScanState SelectiveScan scan",
        "privkd.networks.small": "ImageNetwork VectorNetwork network_for",
        "privkd.networks.taps": "Tap",
        "privkd.networks.text": "TinyText Vocabulary",
        "privkd.networks.transformer": "TransformerEncoder",
        "privkd.networks.unet": "UNetEncoder UNetSmall",
        "privkd.networks.vit": "FactorisedPositions PatchTokenizer TinyViT",
    },
)
