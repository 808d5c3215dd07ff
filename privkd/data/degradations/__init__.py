"""Views of lower quality: fewer pixels, blur, noise, other light, compression, things in front of a face.

Every operation takes float images (n, channels, height, width) with values in [0, 1], keeps the dtype and the device, and draws
from the `torch.Generator` that it is given: one seed gives one view.
"""

from typing import TYPE_CHECKING

from accountants import lazy_door

if TYPE_CHECKING:
    from privkd.data.degradations.jpeg_files import jpeg as jpeg
    from privkd.data.degradations.occluders import lower_face_masks as lower_face_masks
    from privkd.data.degradations.occluders import rectangles as rectangles
    from privkd.data.degradations.photometry import add_noise as add_noise
    from privkd.data.degradations.photometry import photometric_shift as photometric_shift
    from privkd.data.degradations.resolution import area as area
    from privkd.data.degradations.resolution import bilinear as bilinear
    from privkd.data.degradations.resolution import blur as blur
    from privkd.data.degradations.resolution import low_resolution as low_resolution

__getattr__, __dir__, __all__ = lazy_door(
    __name__,
    {
        "privkd.data.degradations.jpeg_files": "jpeg",
        "privkd.data.degradations.occluders": "lower_face_masks rectangles",
        "privkd.data.degradations.photometry": "add_noise photometric_shift",
        "privkd.data.degradations.resolution": "area bilinear blur low_resolution",
    },
)
