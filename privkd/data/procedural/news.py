"""News items, a picture and two sentences each, of which half are fake for one of three reasons.

Specification: FN-1 of this project. Each view alone (the style of the text, the traces in the picture, whether the two agree) gives
away a third of the fakes. The words, the size of the patch and the quality of its compression are ours.
"""

from typing import cast

import torch
from torch import Tensor

from accountants import check
from privkd.data.degradations import jpeg
from privkd.data.kinds.texts import Texts
from privkd.data.procedural.draws import Draws
from privkd.data.procedural.scenes import captioned_scenes

CAUSES = ("none", "style", "splice", "mismatch")
"""Why an item is fake; the column "cause" holds indices of these."""
SENSATIONAL = (
    *("shocking", "unbelievable", "secret", "exposed", "scandal", "miracle"),
    *("outrageous", "banned", "terrifying", "incredible", "urgent", "bombshell"),
)
_SOBER = (
    *("local", "official", "weekly", "regional", "public", "recent"),
    *("annual", "brief", "general", "written", "quiet", "ordinary"),
)
_SUBJECTS = ("office", "museum", "council", "library", "school", "garden", "harbour", "station")
_VERBS = ("reported", "confirmed", "noted", "described", "recorded", "announced")
_PATCH, _QUALITY = 24, 30
_NOISE = 0.15  # probability that the style says the opposite


def news_items(count: int = 400, *, seed: int = 0) -> Texts:
    """Texts with pictures, labels 0 "real" and 1 "fake", and the column "cause", which is for judging only.

    Every second item is fake, by exactly one cause, each equally likely: "style" (two or three sensational words in the second
    sentence), "splice" (a patch of another picture, recompressed, is pasted in) or "mismatch" (the first sentence is the caption of
    another picture). The style of any item says the opposite with probability 0.15.

    Args:
        count: number of items, >= 2.
        seed: integer >= 0.

    Raises:
        TypeError: an argument is no integer.
        ValueError: an argument is out of range.

    Example:
        >>> news_items(4)
        Texts(name='news', n=4, labelled, images=4)
    """
    check.integer(count=count, at_least=2)
    scenes = captioned_scenes(count, seed=seed).texts
    captions, pictures = scenes.texts, cast(Tensor, scenes.images)
    draws = Draws("news", seed)
    fake = torch.arange(count) % 2
    cause = torch.where(fake == 1, 1 + torch.from_numpy(draws.below(3, count)), 0)
    images = pictures.clone()
    spliced = (cause == CAUSES.index("splice")).nonzero().squeeze(1)
    if len(spliced):
        images[spliced] = _spliced(pictures[spliced], pictures[spliced - 1], draws)
    texts = []
    for n in range(count):
        caption = captions[n]
        if cause[n] == CAUSES.index("mismatch"):
            # count - 1 others; in a set so small that all say the same, the item stays as it is
            caption = next((other for other in (*captions[n + 1 :], *captions[:n]) if other != caption), caption)
        says = (cause[n] == CAUSES.index("style")) != (draws.number(0.0, 1.0) < _NOISE)
        texts.append(f"The picture shows {caption}. {_sentence(draws, sensational=bool(says))}")
    return Texts(tuple(texts), fake, "news", images, class_names=("real", "fake")).with_column("cause", cause)


def _sentence(draws: Draws, *, sensational: bool) -> str:
    """A second sentence: two or three sensational words and up to one sober word, or at most one sensational word."""
    loud = 2 + draws.index(2) if sensational else draws.index(2)
    words = [SENSATIONAL[k] for k in draws.order(len(SENSATIONAL))[:loud]]
    words += [_SOBER[k] for k in draws.order(len(_SOBER))[: 3 - loud]]
    ordered = " ".join(words[k] for k in draws.order(len(words)))
    subject, verb = _SUBJECTS[draws.index(len(_SUBJECTS))], _VERBS[draws.index(len(_VERBS))]
    return f"The {subject} {verb} this {ordered} story."


def _spliced(images: Tensor, others: Tensor, draws: Draws) -> Tensor:
    """Images with a recompressed patch of another picture, from the same place and brought to the mean of what it covers."""
    corners = draws.below(images.shape[-1] - _PATCH + 1, len(images), 2)
    recompressed, result = jpeg(others, _QUALITY), images.clone()
    for n, (top, left) in enumerate(corners):
        window = (n, slice(None), slice(top, top + _PATCH), slice(left, left + _PATCH))
        covered, patch = images[window].mean((1, 2), keepdim=True), recompressed[window]
        result[window] = (patch - patch.mean((1, 2), keepdim=True) + covered).clamp(0, 1)
    return result
