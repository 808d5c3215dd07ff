"""Synthetic queries to look at: what the generator of a released transcription makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accountants import check
from privkd.report.study import Samples

if TYPE_CHECKING:
    from privkd.transcription import Transcription


def samples_of(transcription: Transcription, *, count: int = 32, seed: int = 0) -> Samples | None:
    """A few inputs from the generator of a transcription.

    They are post-processing of the released generator, so showing them costs nothing beyond its certificate.

    Args:
        transcription: with or without a generator.
        count: number of images, >= 1.
        seed: of the latent vectors.

    Returns:
        The samples; None where there is no generator, or its inputs are no grey or colour images.
    """
    import torch

    check.integer(count=count, at_least=1)
    spec, generator = transcription.spec, transcription.generator
    if generator is None or spec is None or len(spec.shape) != 3 or spec.shape[0] not in (1, 3):
        return None
    made = generator.sample(count, generator=torch.Generator().manual_seed(seed))
    share = ((made - spec.low) / (spec.high - spec.low)).clamp(0, 1)
    pixels = (share * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
    if spec.shape[0] == 1:
        pixels = pixels[..., 0]
    caption = (
        f"{count} inputs from the generator that wrote the queries. It learned from the student alone and "
        "never saw a private record, so the inputs need not look like the private data."
    )
    return Samples(images=pixels.tolist(), caption=caption)
