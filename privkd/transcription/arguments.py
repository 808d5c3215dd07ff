"""The settings of a call of `transcribe`, each checked by itself."""

from __future__ import annotations

import math
import secrets

import torch

from accountants import check
from privkd.certificates.scopes import check_delta
from privkd.mechanisms import NoiseSource, SystemNoise


def require_trainable() -> None:
    """Refuse global settings of torch under which no student can be trained.

    Raises:
        ValueError: inference mode, or another default dtype than float32.
    """
    if torch.is_inference_mode_enabled():
        raise ValueError("no student can be trained under torch.inference_mode(); call transcribe outside of it")
    if torch.get_default_dtype() is not torch.float32:
        raise ValueError(
            f"torch's default dtype is {torch.get_default_dtype()}; students are float32: torch.set_default_dtype(torch.float32)"
        )


def checked_epsilon(epsilon: float, *, allow_nonprivate: bool) -> float:
    """Epsilon as a float > 0; infinity only where the caller allows a student without any guarantee."""
    if isinstance(epsilon, float) and math.isinf(epsilon) and epsilon > 0:
        if not allow_nonprivate:
            raise ValueError(
                "epsilon=inf adds no noise and guarantees nothing; pass allow_nonprivate=True if that is what you want"
            )
        return epsilon
    check.real(epsilon=epsilon, above=0.0)
    return float(epsilon)


def checked_delta(delta: float | None, n: int | None) -> float:
    """The given delta if it is below 1/n; by default the largest power of ten that is at most 1/(10 n), 1e-5 for unknown n."""
    if delta is None:
        return 1e-5 if n is None else 10.0 ** math.floor(math.log10(1 / (10 * n)) + 1e-12)
    check_delta(delta, n)
    return float(delta)


def checked_seed(seed: int | None) -> int:
    """The given seed of public randomness, or a fresh one."""
    if seed is None:
        return secrets.randbelow(2**31)
    check.integer(seed=seed, at_least=0, at_most=2**31 - 1)
    return int(seed)


def checked_noise(noise: NoiseSource | None) -> NoiseSource:
    """The given noise source, or the operating system's entropy."""
    if noise is None:
        return SystemNoise()
    if not isinstance(noise, NoiseSource):
        raise TypeError(f"noise must be a privkd.mechanisms.NoiseSource, got {type(noise).__name__}")
    return noise


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    """The value, if it is allowed."""
    if value not in allowed:
        raise ValueError(f"{name}={value!r} is unknown; allowed are {', '.join(map(repr, allowed))}")
    return value
