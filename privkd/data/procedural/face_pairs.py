"""Pairs of a good and a bad view of made-up faces, and the protocol that the low-resolution systems share."""

from dataclasses import dataclass

import torch

from accountants import check
from privkd.data.degradations import low_resolution, lower_face_masks
from privkd.data.kinds.pairs import PairedViews
from privkd.data.procedural.damage import damaged_faces
from privkd.data.procedural.draws import generator_of
from privkd.data.procedural.faces import syn_faces


def paired_faces(
    identities: int,
    per_identity: int,
    *,
    side: int = 32,
    factor: int = 4,
    blur_up_to: float = 0.0,
    noise: float = 0.02,
    domain: int = 0,
    damaged: float = 0.0,
    seed: int = 0,
) -> PairedViews:
    """Faces of `syn_faces` in full resolution and in low resolution.

    Split them by identity (`views.split(0.8, by="identity")`), or take another seed: two seeds share nobody.

    Args:
        identities: number of people, >= 1.
        per_identity: photographs of each, >= 1.
        side: of the high view, pixels.
        factor: side of the blocks whose means are the pixels of the low view; must divide side.
        blur_up_to: see `privkd.data.degradations.low_resolution`.
        noise: standard deviation of the noise of the low view, >= 0.
        domain: see `syn_faces`.
        damaged: share of useless HIGH views (see `damaged_faces`), in [0, 1]; the low views stay right. Above 0 there is a column
            "damaged", true where the high view is useless: for judging a selection, not for making it.
        seed: integer >= 0.

    Raises:
        TypeError: an argument has another type.
        ValueError: an argument is out of range, or factor does not divide side.

    Example:
        >>> paired_faces(3, 2)
        PairedViews(name='paired-faces', n=6, high=(1, 32, 32), low=(1, 8, 8))
    """
    check.real(damaged=damaged, at_least=0.0, at_most=1.0)
    high, labels = syn_faces(identities, per_identity, side=side, domain=domain, seed=seed)
    generator = generator_of("low views", seed)
    low = low_resolution(high, factor, generator=generator, blur_up_to=blur_up_to, noise=noise)
    names = _names(identities)
    if not damaged:
        return PairedViews(high, low, labels, "paired-faces", names)
    shown, bad = damaged_faces(high, share=damaged, seed=seed)
    return PairedViews(shown, low, labels, "damaged-faces", names).with_column("damaged", bad)


def masked_faces(identities: int, per_identity: int, *, side: int = 32, domain: int = 0, seed: int = 0) -> PairedViews:
    """Faces of `syn_faces` without and with masks over the lower face; the column "occlusion" is 1 where a mask is.

    Args:
        identities: number of people, >= 1.
        per_identity: photographs of each, >= 1.
        side: of both views, pixels.
        domain: see `syn_faces`.
        seed: integer >= 0; faces are those of `paired_faces` with the same seed.

    Raises:
        TypeError: an argument is no integer.
        ValueError: an argument is out of range.
    """
    high, labels = syn_faces(identities, per_identity, side=side, domain=domain, seed=seed)
    low, occluded = lower_face_masks(high, generator=generator_of("masks", seed))
    return PairedViews(high, low, labels, "masked-faces", _names(identities)).with_column("occlusion", occluded)


@dataclass(frozen=True, eq=False)
class LowResolutionProtocol:
    """Data of the protocol LR8; no two parts share a person.

    Attributes:
        labelled: 20 people x 10 pairs.
        unlabelled: 400 further people x 4 pairs, labels -1.
        test: 100 further people x 10 pairs, for verification and identification.
    """

    labelled: PairedViews
    unlabelled: PairedViews
    test: PairedViews


def lr8(*, seed: int = 0) -> LowResolutionProtocol:
    """Pairs 32x32 and 8x8 with noise N(0, 0.02): few labels, many unlabelled pairs, strangers for the test.

    Unlabelled pairs are what cross-resolution distillation really has, and make the gap to training on labels large.

    Args:
        seed: integer >= 0; uses the faces of the seeds 3 seed, 3 seed + 1 and 3 seed + 2.

    Raises:
        TypeError: seed is no integer.
        ValueError: seed is negative.
    """
    check.integer(seed=seed, at_least=0)
    labelled, unlabelled, test = (
        paired_faces(people, photographs, seed=3 * seed + part)
        for part, (people, photographs) in enumerate(((20, 10), (400, 4), (100, 10)))
    )
    nobody = torch.full((len(unlabelled),), -1)
    unlabelled = PairedViews(unlabelled.high, unlabelled.low, nobody, "unlabelled-faces")
    return LowResolutionProtocol(labelled, unlabelled, test)


def _names(identities: int) -> tuple[str, ...]:
    return tuple(f"person {n}" for n in range(identities))
