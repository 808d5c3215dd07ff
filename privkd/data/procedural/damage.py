"""Pictures that teach nothing: a stranger in the crop, or a face that drowned in noise.

Real collections have them; a system that selects what it learns from is judged by whether it leaves them out.
"""

import torch
from torch import Tensor

from accountants import check
from privkd.data.degradations.images import require_images
from privkd.data.procedural.draws import generator_of
from privkd.data.procedural.faces import syn_faces


def damaged_faces(images: Tensor, *, share: float = 0.35, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Faces of which some are useless, and which ones are.

    Each face is damaged independently with probability `share`. Half of the damaged ones (each with probability 1/2) become the
    face of a stranger, who is nobody in any other set, the others 0.25 * face + 0.5 * uniform noise.

    Args:
        images: square grey faces, shape (n, 1, side, side), float, in [0, 1].
        share: probability of damage, in [0, 1].
        seed: integer >= 0.

    Returns:
        Images of the same shape, and a boolean mask, shape (n,), true where the image is useless.

    Raises:
        TypeError: images are not float, or seed is no integer.
        ValueError: images are empty, not square, not grey or leave [0, 1], or share is out of range.
    """
    require_images(images)
    n, channels, height, width = images.shape
    if channels != 1 or height != width:
        raise ValueError(f"images.shape={tuple(images.shape)} must be (n, 1, side, side): square grey faces")
    check.real(share=share, at_least=0.0, at_most=1.0)
    generator = generator_of("damage", seed)
    bad = torch.rand(n, generator=generator) < share
    stranger = torch.rand(n, generator=generator) < 0.5
    noise = torch.rand(images.shape, generator=generator).to(images)
    damaged = torch.where((bad & ~stranger)[:, None, None, None], 0.25 * images + 0.5 * noise, images)
    replaced = (bad & stranger).nonzero().squeeze(1)
    if len(replaced):
        strangers_seed = int(torch.randint(2**31, (), generator=generator))  # no set of a small seed has these people
        damaged[replaced] = syn_faces(len(replaced), 1, side=height, seed=strangers_seed)[0].to(images)
    return damaged, bad
