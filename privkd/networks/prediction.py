"""Classes and probabilities from a trained classifier, from whatever arrays its user has.

privkd's own networks have `predict` and `predict_proba` themselves; `Predictor` gives both to any other module.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from privkd.data.arrays import input_array
from privkd.data.labels import Label

_ROWS = 512  # per forward pass


class Predictor:
    """Classes and probabilities from any module that gives logits. The module keeps its class, weights and mode.

    Args:
        module: maps a batch to logits, shape (b, K).
        shape: of one input, `(d,)` or `(channels, height, width)`.
        labels: what the classes are called, by index; None for 0..K-1.

    Example:
        >>> weights = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> module = nn.Linear(2, 2, bias=False)
        >>> _ = module.load_state_dict({"weight": weights})
        >>> Predictor(module, (2,), ["cat", "dog"]).predict([[0.0, 1.0], [3.0, 1.0]]).tolist()
        ['dog', 'cat']
    """

    def __init__(self, module: nn.Module, shape: tuple[int, ...], labels: Sequence[Label] | None = None) -> None:
        if not isinstance(module, nn.Module):
            raise TypeError(f"module={type(module).__name__} must be a torch.nn.Module that gives logits")
        self._module, self._shape, self._labels = module, tuple(shape), labels

    def predict(self, inputs: Any) -> np.ndarray:
        """The likeliest class of each row: its name where names are known, else its index.

        Args:
            inputs: one row or many, as a numpy array, tensor, pandas table, sparse matrix or nested list. uint8 is divided
                by 255, every other dtype keeps its values. Images may be flat, and without their channel if it is the only
                one.

        Returns:
            Shape (n,), n = 1 for a single row.

        Raises:
            TypeError: not an array of numbers.
            ValueError: another shape, or values that are not finite.
        """
        answers = self.predict_proba(inputs).argmax(axis=1)
        return answers if self._labels is None else np.array(self._labels)[answers]

    def predict_proba(self, inputs: Any) -> np.ndarray:
        """Class probabilities of each row, float64, shape (n, K); arguments and errors as for `predict`."""
        rows = torch.from_numpy(_rows(input_array(inputs, role="inputs"), self._shape))
        tensor = next(self._module.parameters(), next(self._module.buffers(), torch.empty(0)))
        with eval_mode(self._module), torch.no_grad():
            parts = [self._module(part.to(tensor.device)).cpu() for part in rows.split(_ROWS)]
        logits = torch.cat(parts)
        if logits.dim() != 2 or len(logits) != len(rows):
            raise ValueError(
                f"{type(self._module).__name__} gave shape {tuple(logits.shape)} for {len(rows)} rows; logits of shape "
                f"({len(rows)}, classes) are needed"
            )
        if self._labels is not None and logits.shape[1] != len(self._labels):
            raise ValueError(
                f"labels has {len(self._labels)} names, but {type(self._module).__name__} gives {logits.shape[1]} logits"
            )
        return torch.softmax(logits.double(), dim=1).numpy()


class Predicting(nn.Module):
    """A module that knows the shape of its input and, in `config`, what its classes are called."""

    if TYPE_CHECKING:  # an annotation would keep torch.jit.script from compiling the networks
        config: dict[str, Any]
    __jit_unused_properties__ = ("input_shape", "labels")

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        raise NotImplementedError

    @property
    def labels(self) -> tuple[Label, ...] | None:
        """What the classes are called, by index; None for 0..K-1."""
        names = self.config.get("labels")
        return None if names is None else tuple(names)

    def predict(self, inputs: Any) -> np.ndarray:
        """The likeliest class of each row, by its name where names are known; arguments as for `Predictor.predict`."""
        return Predictor(self, self.input_shape, self.labels).predict(inputs)

    def predict_proba(self, inputs: Any) -> np.ndarray:
        """Class probabilities of each row, float64, shape (n, K); arguments as for `Predictor.predict`."""
        return Predictor(self, self.input_shape, self.labels).predict_proba(inputs)


def _rows(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Inputs as a batch, shape (n, *shape), n >= 1."""
    if values.ndim > 1 and _fits(values.shape[1:], shape):
        rows = values.reshape(len(values), *shape)
    elif values.ndim and _fits(values.shape, shape):
        rows = values.reshape(1, *shape)
    else:
        hint = "; channels come first" if len(shape) == 3 and values.shape[-1:] == shape[:1] else ""
        raise ValueError(f"inputs have shape {values.shape}; one row of shape {shape} or (n, {shape}) is needed{hint}")
    if not len(rows):
        raise ValueError("0 rows were given; at least one is needed")
    if not np.isfinite(rows).all():
        raise ValueError("inputs contain NaN, infinite values or values beyond float32")
    return rows


def _fits(given: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether one row may have this shape: the same, a flat one, or an image without its only channel."""
    alike = given == shape or (shape[:1] == (1,) and given == shape[1:])
    return alike or (1 in (len(given), len(shape)) and math.prod(given) == math.prod(shape))


@contextmanager
def eval_mode(module: nn.Module) -> Iterator[None]:
    """Within the block every layer is in eval mode; afterwards each has the mode that it had."""
    modes = [(layer, layer.training) for layer in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for layer, training in modes:
            layer.training = training
