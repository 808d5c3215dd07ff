"""The geometry of PUBLIC inputs: features, clusters, and smoothing of noisy answers between neighbours.

Everything here is computed from public inputs and released answers, so it costs no privacy. It is where most of the
accuracy at small epsilon comes from: noise of known size is averaged out over inputs that lie close together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from accountants import check
from privkd.progress import track, working

_MAX_PAIRS = 1000
_BANDWIDTH = 8.0
_AMPLITUDE = 0.1
_JITTER = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class PublicGeometry:
    """Features of public inputs and the distances between them.

    Attributes:
        shift: subtracted from every flattened input, float64, shape (d,).
        scale: divides it, float64, shape (d,).
        features: of the public inputs, float64, shape (n, d).
        bandwidth: squared length scale of neighbourhood, in feature units.
    """

    shift: np.ndarray
    scale: np.ndarray
    features: np.ndarray
    bandwidth: float

    @classmethod
    def of(cls, inputs: Tensor) -> PublicGeometry:
        """Geometry of public inputs, shape (n, ...).

        Vector features are divided by their std, floored at the median std (so that constant or rare features are not
        blown up); image pixels share one scale.

        Raises:
            ValueError: no inputs, or inputs with NaN or infinite values.
        """
        flat = inputs.detach().cpu().flatten(1).double().numpy()
        if not len(flat):
            raise ValueError("0 public inputs were given; at least one is needed")
        if not np.isfinite(flat).all():
            raise ValueError("public inputs contain NaN or infinite values")
        spread = flat.std(axis=0)
        shared = spread.mean() if inputs.dim() == 4 else np.median(spread)
        floor = shared if shared > 0 else max(float(spread.max()), 1.0)
        scale = np.full_like(spread, floor) if inputs.dim() == 4 else np.maximum(spread, floor)
        shift = flat.mean(axis=0)
        features = (flat - shift) / scale
        return cls(shift, scale, features, _median_square_distance(features) / _BANDWIDTH)

    def of_others(self, inputs: Tensor) -> np.ndarray:
        """Features of any other inputs on the public scale, float64, shape (m, d)."""
        return (inputs.detach().cpu().flatten(1).double().numpy() - self.shift) / self.scale

    def clusters(self, count: int, *, seed: int) -> Clusters:
        """K-means clusters of the public inputs; every input by itself when count >= n."""
        check.integer(count=count, at_least=1)
        if count >= len(self.features):
            return Clusters(self.features, torch.arange(len(self.features)))
        from sklearn.cluster import KMeans

        means = KMeans(count, n_init=3, random_state=seed)  # pyright: ignore[reportArgumentType]
        with working(f"k-means of {len(self.features)} public inputs into {count} clusters"):
            labels = np.asarray(means.fit_predict(self.features))
        used, assignment = np.unique(labels, return_inverse=True)  # k-means may leave a cluster empty
        return Clusters(means.cluster_centers_[used], torch.from_numpy(assignment.astype(np.int64)))

    def smooth(self, at: np.ndarray, centres: np.ndarray, observed: np.ndarray, variance: np.ndarray) -> np.ndarray:
        """Mean of a Gaussian process through noisy observations whose noise variance is known.

        Args:
            at: where to read the mean, shape (m, d).
            centres: where it was observed, shape (c, d).
            observed: class shares, shape (c, K).
            variance: noise variance of each row, shape (c,).

        Returns:
            Smoothed class shares, shape (m, K).
        """
        base = 1.0 / observed.shape[1]
        with working(f"smoothing between {len(centres)} clusters"):
            kernel = self._kernel(centres, centres) + np.diag(variance + _JITTER)
            return base + self._kernel(at, centres) @ np.linalg.solve(kernel, observed - base)

    def _kernel(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return _AMPLITUDE * np.exp(-_square_distances(a, b) / (2 * self.bandwidth))


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """A partition of the public inputs.

    Attributes:
        centres: float64, shape (c, d).
        assignment: cluster of each public input, int64, shape (n,).
    """

    centres: np.ndarray
    assignment: Tensor

    def __len__(self) -> int:
        return len(self.centres)

    def nearest(self, features: np.ndarray) -> Tensor:
        """Cluster whose centre is nearest, int64, shape (m,); ties go to the lower index."""
        batches, parts = np.array_split(features, _parts(features)), []
        with track("finding the nearest clusters", len(batches)) as advance:
            for batch in batches:
                parts.append(_square_distances(batch, self.centres).argmin(axis=1))
                advance()
        return torch.from_numpy(np.concatenate(parts).astype(np.int64))


def soft_targets(shares: np.ndarray, *, sharpness: float = 10.0) -> Float32[Tensor, "m K"]:
    """Class probabilities from smoothed class shares: softmax(sharpness * shares), float32, shape (m, K)."""
    return torch.softmax(torch.from_numpy(sharpness * shares), dim=1).float()


def _square_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2 * a @ b.T
    return np.maximum(squares, 0.0)


def _median_square_distance(features: np.ndarray) -> float:
    some = features[np.linspace(0, len(features) - 1, min(len(features), _MAX_PAIRS)).astype(int)]
    pairs = _square_distances(some, some)[np.triu_indices(len(some), 1)]
    median = float(np.median(pairs)) if len(pairs) else 0.0
    return median if median > 0 else 1.0


def _parts(features: np.ndarray) -> int:
    return max(1, len(features) // 10_000)
