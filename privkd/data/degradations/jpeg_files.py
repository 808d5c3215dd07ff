"""What is left of pictures after they were stored as JPEG files."""

from io import BytesIO

import numpy as np
import torch
from torch import Tensor

from accountants import check
from privkd.data.degradations.images import require_images


def jpeg(images: Tensor, quality: int) -> Tensor:
    """Images after one trip through a JPEG file, written and read by Pillow.

    Deterministic on one machine; another version of the JPEG library may round a few pixels otherwise.

    Args:
        images: shape (n, channels, height, width), float, in [0, 1]; 1 channel (grey) or 3 (RGB).
        quality: of the encoder, 1 (worst) to 95.

    Returns:
        Same shape, dtype and device; multiples of 1/255.

    Raises:
        TypeError: images are not float, or quality is no integer.
        ValueError: images are empty, leave [0, 1] or have another number of channels, or quality is out of range.
    """
    from PIL import Image

    require_images(images)
    check.integer(quality=quality, at_least=1, at_most=95)
    channels = images.shape[1]
    if channels not in (1, 3):
        raise ValueError(f"images have {channels} channels; JPEG files have 1 (grey) or 3 (RGB)")
    pixels = (images.detach().clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    stored = []
    for picture in pixels:
        file = BytesIO()
        Image.fromarray(picture.squeeze(2) if channels == 1 else picture).save(file, "JPEG", quality=quality)
        stored.append(np.asarray(Image.open(file)).reshape(picture.shape))
    return torch.from_numpy(np.stack(stored)).permute(0, 3, 1, 2).to(images) / 255
