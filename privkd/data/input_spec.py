"""What a model eats: the shape and range of one input. Public knowledge, needed when queries are generated."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from accountants import check

_LARGEST = 1e38  # what float32 holds, also doubled


@dataclass(frozen=True, slots=True)
class InputSpec:
    """Shape and range of one input.

    Attributes:
        shape: `(d,)` for vectors or `(channels, height, width)` for images.
        low: smallest value that inputs take, before any normalisation inside the model.
        high: largest value, > low.
    """

    shape: tuple[int, ...]
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        if len(self.shape) not in (1, 3):
            raise ValueError(
                f"shape={self.shape}; allowed are (d,) for vectors and (channels, height, width) for images"
            )
        for size in self.shape:
            check.integer(shape=size, at_least=1)
        check.real(low=self.low, at_least=-_LARGEST)
        check.real(high=self.high, above=self.low, at_most=_LARGEST)

    def to_dict(self) -> dict[str, object]:
        """JSON form, read back by `from_dict`."""
        return {**asdict(self), "shape": list(self.shape)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> InputSpec:
        """Read the JSON form.

        Raises:
            TypeError, ValueError: fields are missing, unknown or out of range.
        """
        return cls(**{**values, "shape": tuple(values["shape"])})

    @classmethod
    def of(cls, inputs: Tensor) -> InputSpec:
        """Shape and range of PUBLIC inputs, shape (n, ...); never call it on private records.

        Raises:
            ValueError: inputs are constant, empty, or neither vectors nor images.
        """
        if not len(inputs):
            raise ValueError("0 public inputs were given; at least one is needed")
        low, high = float(inputs.min()), float(inputs.max())
        if not low < high:
            raise ValueError(
                f"all values of the public inputs are {low:g}; give inputs that vary, or inputs=InputSpec(...)"
            )
        return cls(tuple(inputs.shape[1:]), low, high)
