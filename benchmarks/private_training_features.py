"""Images and their fixed features: slant, scattering transform, square root, and the folder that keeps them.

Every feature is a function of one image, so that it costs no privacy.
"""

from __future__ import annotations

import io
import json
import time
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from privkd.networks.scattering import Scattering

FILES = {"mnist": "mnist.npz", "fashion": "fashion_mnist.npz", "cifar": "cifar10_jpeg.npz"}
TEST = 10_000  # the last records of each set
_AT_ONCE = 500
_ANGLES = 8
_SMALLEST = 1e-6  # of masses and spreads: an empty image stays as it is


@dataclass(frozen=True)
class Features:
    """Features of all records of a set, training records first.

    Attributes:
        values: float16, shape (n, channels, height, width), >= 0.
        labels: int64, shape (n,).
        seconds: what computing them took.
    """

    values: Tensor
    labels: Tensor
    seconds: float

    @property
    def training(self) -> int:
        """Number of training records."""
        return len(self.labels) - TEST


def features(name: str, file: Path, folder: Path) -> Features:
    """Features of a set, from the folder if they are there already.

    Args:
        name: one of FILES.
        file: the data.
        folder: where features are kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept, note = folder / f"{name}-roots.npy", folder / f"{name}-roots.json"
    if not note.exists():
        images, start = read(name, file), time.monotonic()
        first = roots(name, images[:1])
        part = kept.with_suffix(".part")  # never a half-written file under the final name
        values = np.lib.format.open_memmap(part, "w+", dtype=np.float16, shape=(len(images), *first.shape[1:]))
        for place in range(0, len(images), _AT_ONCE):
            values[place : place + _AT_ONCE] = roots(name, images[place : place + _AT_ONCE]).half().numpy()
        values.flush()
        part.rename(kept)
        note.write_text(json.dumps({"seconds": time.monotonic() - start}), encoding="utf-8")
    seconds = json.loads(note.read_text(encoding="utf-8"))["seconds"]
    return Features(torch.from_numpy(np.load(kept, mmap_mode="c")), labels_of(file), seconds)


def labels_of(file: Path) -> Tensor:
    """Labels, int64, shape (n,): training records, then test records."""
    with np.load(file) as archive:
        return torch.from_numpy(np.concatenate([archive["train_labels"], archive["test_labels"]]).astype(np.int64))


def read(name: str, file: Path) -> Tensor:
    """Images, uint8, shape (n, colours, side, side): training records, then test records."""
    with np.load(file) as archive:
        if name == "cifar":
            images = _decoded(archive["header"].tobytes(), archive["bodies"].tobytes(), archive["offsets"])
        else:
            images = np.concatenate([archive["train_images"], archive["test_images"]])[:, None]
    return torch.from_numpy(images)


def roots(name: str, images: Tensor) -> Tensor:
    """Square roots of scattering coefficients, float32, shape (n, channels, height, width).

    Roots draw the few large coefficients and the many small ones together. Handwriting is set upright first. Coefficients
    of colour images are made mirror-symmetric: the mean of them and of their mirror image, which is nearly that of the
    image's mirror image (averages lie on another grid there). The left half says all.

    Args:
        name: one of FILES.
        images: uint8, shape (n, colours, side, side).
    """
    pixels = images.float() / 255.0
    transform = _transform(images.shape[-1])
    with torch.no_grad():
        found = transform(upright(pixels) if name == "mnist" else pixels)
    return (_symmetrised(found) if images.shape[1] == 3 else found).clamp(min=0.0).sqrt()


def upright(pixels: Tensor) -> Tensor:
    """Images sheared until rows and columns of their dark mass are uncorrelated, with its centre in the middle.

    A classical preparation of handwriting: LeCun et al., Proc. IEEE 86(11), 1998, "deslanting".

    Args:
        pixels: float32, >= 0, shape (n, 1, side, side).
    """
    side = pixels.shape[-1]
    place = (torch.arange(side) - (side - 1) / 2) * 2 / side  # as `affine_grid` counts: the borders are -1 and 1
    mass = pixels[:, 0] / pixels.sum(dim=(1, 2, 3)).clamp(min=_SMALLEST)[:, None, None]
    row, column = mass.sum(dim=2) @ place, mass.sum(dim=1) @ place
    down, across = place - row[:, None], place - column[:, None]
    spread = (mass.sum(dim=2) * down.square()).sum(dim=1)
    slant = torch.einsum("nrc,nr,nc->n", mass, down, across) / spread.clamp(min=_SMALLEST)
    one, zero = torch.ones_like(row), torch.zeros_like(row)
    sheared = torch.stack([torch.stack([one, slant, column], dim=1), torch.stack([zero, one, row], dim=1)], dim=1)
    grid = functional.affine_grid(sheared, list(pixels.shape), align_corners=False)
    return functional.grid_sample(pixels, grid, align_corners=False)


def _symmetrised(found: Tensor) -> Tensor:
    """(n, channels, height, width) -> (n, channels, height, width / 2), columns and angles reversed and averaged."""
    mirrored = found[:, _mirror(found.shape[1])].flip(-1)
    return ((found + mirrored) / 2)[..., : found.shape[-1] // 2]


def _mirror(channels: int) -> Tensor:
    """Channel of the mirror image for every channel: the angle at place t becomes that at place 6 - t."""
    turned = [(6 - angle) % _ANGLES for angle in range(_ANGLES)]
    first = [1 + _ANGLES * scale + angle for scale in range(2) for angle in turned]
    second = [1 + 2 * _ANGLES + _ANGLES * outer + inner for outer in turned for inner in turned]
    paths = torch.tensor([0, *first, *second])
    return torch.cat([colour + paths for colour in range(0, channels, len(paths))])


@cache
def _transform(side: int) -> Scattering:
    return Scattering((side, side), J=2, angles=_ANGLES)


def _decoded(header: bytes, bodies: bytes, offsets: np.ndarray) -> np.ndarray:
    """The JPEG images of an archive in which all share one header."""
    from PIL import Image

    files = (header + bodies[start:stop] for start, stop in pairwise(offsets))
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(one)).convert("RGB")) for one in files])
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
