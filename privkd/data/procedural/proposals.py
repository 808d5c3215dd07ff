"""Feature sequences of untrimmed videos with actions in them, and with decoys that only a distant sign tells from actions.

Specification: TAP-1 of this project. How many classes there are, the size of the vectors and where the sign stands are ours.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from accountants import check
from privkd.data.procedural.draws import Draws

CLASSES = 5
_SHORTEST, _LONGEST = 4, 96  # snippets of an action
_GAP = 40  # snippets between an instance and its sign, at least
_DECOYS = 0.3
_MEMORY = 0.8  # of the background noise between snippets
_CONTENT, _TRANSIENT, _SIGN = 1.5, 3.0, 4.0  # norms over the noise of one snippet
_TRIES = 60


@dataclass(frozen=True, eq=False)
class UntrimmedVideos:
    """Features of videos and what is in them.

    Attributes:
        features: float32, shape (n, channels, snippets).
        segments: per video the actions [start, end), snippets, float64, shape (k, 2), k >= 1, sorted by start.
        labels: per video the class of each action, int64, shape (k,).
        decoys: per video what looks like an action and is none, as `segments`, shape (j, 2), j >= 0; for judging only.
    """

    features: Tensor
    segments: tuple[np.ndarray, ...]
    labels: tuple[np.ndarray, ...]
    decoys: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return len(self.features)


def untrimmed_videos(count: int = 100, *, snippets: int = 128, channels: int = 32, seed: int = 0) -> UntrimmedVideos:
    """Videos with one to five instances, each a decoy with probability 0.3, but never all of them.

    The background is first-order autoregressive noise. An instance of class k lasts a log-uniform time of 4 to 96 snippets, shows
    the prototype of k, and has a sign of k at least 40 snippets away from both of its ends, as far as the video has room for that.
    An action begins and ends with transient vectors, the same for all classes; a decoy does not, and its sign is that of another
    class. The vectors are the same for all seeds.

    Args:
        count: number of videos, >= 1.
        snippets: length of each, >= 96 + 2.
        channels: of the features, >= 8.
        seed: integer >= 0.

    Raises:
        TypeError: an argument is no integer.
        ValueError: an argument is out of range.
    """
    check.integer(count=count, at_least=1)
    check.integer(snippets=snippets, at_least=_LONGEST + 2)
    check.integer(channels=channels, at_least=8)
    vectors = Draws("proposal vectors", 0).gaussian(2 * CLASSES + 2, channels)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    videos = [_video(vectors, snippets, Draws("proposals", seed, n)) for n in range(count)]
    features, segments, labels, decoys = zip(*videos, strict=True)
    return UntrimmedVideos(torch.from_numpy(np.stack(features)), segments, labels, decoys)


def _video(vectors: np.ndarray, snippets: int, draws: Draws) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    channels = vectors.shape[1]
    features = _background(draws, snippets, channels)
    spans = _spans(draws, 1 + draws.index(5), snippets)
    decoy = draws.uniform(0.0, 1.0, len(spans)) < _DECOYS
    decoy[0] &= not decoy.all()
    classes = draws.below(CLASSES, len(spans))
    onset, offset = vectors[-2:]
    for (start, end), kind, is_decoy in zip(spans, classes, decoy, strict=True):
        features[start:end] += _CONTENT * vectors[kind]
        flag = (kind + 1 + draws.index(CLASSES - 1)) % CLASSES if is_decoy else kind
        features[_sign_place(draws, int(start), int(end), snippets)] += _SIGN * vectors[CLASSES + flag]
        if not is_decoy:
            features[start] += _TRANSIENT * onset
            features[end - 1] += _TRANSIENT * offset
    order = spans[:, 0].argsort()
    spans, classes, decoy = spans[order], classes[order], decoy[order]
    parts = spans[~decoy].astype(np.float64), classes[~decoy], spans[decoy].astype(np.float64)
    return np.ascontiguousarray(features.T, dtype=np.float32), *parts


def _background(draws: Draws, snippets: int, channels: int) -> np.ndarray:
    """First-order autoregressive noise with a standard deviation of 1 per snippet over all channels, shape (snippets, channels)."""
    from scipy.signal import lfilter

    steps = draws.gaussian(snippets, channels).astype(np.float64) / np.sqrt(channels)
    steps[1:] *= np.sqrt(1 - _MEMORY**2)
    return np.asarray(lfilter([1.0], [1.0, -_MEMORY], steps, axis=0))


def _spans(draws: Draws, wanted: int, snippets: int) -> np.ndarray:
    """Up to `wanted` (at least one) segments that do not touch, int64, shape (k, 2); the first one drawn comes first."""
    found: list[tuple[int, int]] = []
    for _ in range(_TRIES):
        length = int(np.exp(draws.number(np.log(_SHORTEST), np.log(_LONGEST + 1))))
        start = 1 + draws.index(snippets - length - 1)
        if all(start > end + 1 or start + length < begin - 1 for begin, end in found):
            found.append((start, start + length))
        if len(found) == wanted:
            break
    return np.array(found, dtype=np.int64)


def _sign_place(draws: Draws, start: int, end: int, snippets: int) -> int:
    """A snippet at least 40 away from the segment, or the furthest that there is."""
    places = np.arange(snippets)
    distance = np.maximum(start - places, places - (end - 1))
    far = np.flatnonzero(distance >= min(_GAP, distance.max()))
    return int(far[draws.index(len(far))])
