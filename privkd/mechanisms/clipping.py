"""The former place of what is in `privkd.private_training` now; every use gives a DeprecationWarning."""

from accountants import lazy_door

__getattr__, __dir__, __all__ = lazy_door(
    __name__,
    {},
    moved={"privkd.private_training": "Automatic ClippedSum Clipper Flat PerLayer Rule clipped_sum fix problems"},
)
