"""What a model eats: the shape and range of one input. Public knowledge, needed when queries are generated."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn

from accountants import check

_LARGEST = 1e38  # what float32 holds, also doubled
_SIDES = (8, 16, 28, 32, 48, 64, 96, 128, 224)


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

    @classmethod
    def guess(cls, module: nn.Module) -> InputSpec:
        """The input shape that a module reveals, with the range [0, 1] assumed.

        An exported program states it. Otherwise the first layer with weights tells the width of a vector or the channels of
        an image; image sides are found by asking the module with made-up weights, so that the private ones tell nothing.

        Raises:
            ValueError: the module does not tell; the message says how to declare the shape.
        """
        from privkd.teachers.programs import ExportedTeacher  # here, because that file needs this one

        if isinstance(module, ExportedTeacher) and module.input_shape is not None:
            return cls(module.input_shape)
        for layer in module.modules():
            if isinstance(layer, nn.Linear):
                return cls((layer.in_features,))
            if isinstance(layer, nn.Conv2d):
                return cls((layer.in_channels, *_guess_side(module, layer.in_channels)))
        raise _unknown(module, "its first layer is neither Linear nor Conv2d")


def _guess_side(module: nn.Module, channels: int) -> tuple[int, int]:
    from privkd.teachers.rehearsal import accepts  # here, because that file needs this one

    accepted = [side for side in _SIDES if accepts(module, (channels, side, side))]
    if len(accepted) != 1:
        raise _unknown(module, f"it accepts images of sides {accepted}" if accepted else "no common image side fits")
    return accepted[0], accepted[0]


def _unknown(module: nn.Module, why: str) -> ValueError:
    return ValueError(
        f"the input shape of {type(module).__name__} cannot be seen from the module: {why}. Pass queries=public inputs, "
        "or inputs=privkd.InputSpec(shape=(1, 28, 28), low=0.0, high=1.0)"
    )
