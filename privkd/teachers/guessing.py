"""The input shape of a module that nobody declared, as far as the module shows it."""

from __future__ import annotations

from torch import nn

from privkd.data.input_spec import InputSpec
from privkd.teachers.files.programs import ExportedTeacher
from privkd.teachers.rehearsal import accepts

_SIDES = (8, 16, 28, 32, 48, 64, 96, 128, 224)


def guess_inputs(module: nn.Module) -> InputSpec:
    """The input shape that a module reveals, with the range [0, 1] assumed.

    An exported program states it. Otherwise the first layer with weights tells the width of a vector or the channels of
    an image; image sides are found by asking the module with made-up weights, so that the private ones tell nothing.

    Raises:
        ValueError: the module does not tell; the message says how to declare the shape.
    """
    if isinstance(module, ExportedTeacher) and module.input_shape is not None:
        return InputSpec(module.input_shape)
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            return InputSpec((layer.in_features,))
        if isinstance(layer, nn.Conv2d):
            return InputSpec((layer.in_channels, *_guess_side(module, layer.in_channels)))
    raise _unknown(module, "its first layer is neither Linear nor Conv2d")


def _guess_side(module: nn.Module, channels: int) -> tuple[int, int]:
    accepted = [side for side in _SIDES if accepts(module, (channels, side, side))]
    if len(accepted) != 1:
        raise _unknown(module, f"it accepts images of sides {accepted}" if accepted else "no common image side fits")
    return accepted[0], accepted[0]


def _unknown(module: nn.Module, why: str) -> ValueError:
    return ValueError(
        f"the input shape of {type(module).__name__} cannot be seen from the module: {why}. Pass queries=public inputs, "
        "or inputs=privkd.InputSpec(shape=(1, 28, 28), low=0.0, high=1.0)"
    )
