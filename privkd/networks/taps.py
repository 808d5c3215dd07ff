"""Named intermediate maps of any module, caught while it runs."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle


class Tap:
    """Intermediate answers of a module by the names of its parts, as `named_modules` gives them.

    The module is watched only inside `with`, or during a call of the tap, and is the same as before afterwards. Gradients
    flow through what is caught, unless the pass ran under `torch.no_grad`.

    Args:
        model: any module; an adapter of a pretrained network, too.
        names: of its parts, such as "blocks.1".

    Raises:
        ValueError: no name, a name twice, or one that the module does not have; the closest ones are told.

    Example:
        >>> import torch
        >>> tap = Tap(nn.Sequential(nn.Linear(2, 3), nn.ReLU()), ["0"])
        >>> output, maps = tap(torch.zeros(5, 2))
        >>> output.shape, maps["0"].shape
        (torch.Size([5, 3]), torch.Size([5, 3]))
        >>> Tap(nn.Sequential(nn.Tanh()), ["1"])
        Traceback (most recent call last):
        ValueError: Sequential has no part '1'; closest: '0'
    """

    def __init__(self, model: nn.Module, names: Iterable[str]) -> None:
        wanted = [names] if isinstance(names, str) else list(names)
        parts = {name: part for name, part in model.named_modules(remove_duplicate=False) if name}
        if not wanted or len(set(wanted)) != len(wanted):
            raise ValueError("names must name at least one part of the module, and each only once")
        for name in wanted:
            if name not in parts:
                close = difflib.get_close_matches(name, parts, n=3, cutoff=0.0)
                raise ValueError(
                    f"{type(model).__name__} has no part {name!r}; closest: {', '.join(map(repr, close)) or 'it has none'}"
                )
        self._model = model
        self._parts = {name: parts[name] for name in wanted}
        self._handles: list[RemovableHandle] = []
        self._caught: dict[str, Tensor] = {}

    def __call__(self, *inputs: Any, **named: Any) -> tuple[Any, dict[str, Tensor]]:
        """The answer of the module to these inputs, and the maps by name."""
        with self:
            output = self._model(*inputs, **named)
        return output, {name: self[name] for name in self._parts}

    def __enter__(self) -> Tap:
        if self._handles:
            raise RuntimeError("this tap is watching already; leave its `with` first, or make another Tap")
        self._caught = {}
        self._handles = [part.register_forward_hook(self._catching(name)) for name, part in self._parts.items()]
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def __getitem__(self, name: str) -> Tensor:
        """The answer of a part in the last pass; of a part that ran more than once, the last answer.

        Raises:
            KeyError: a name that was not asked for, or a part that has not run.
        """
        if name not in self._parts:
            raise KeyError(f"{name!r} was not tapped; tapped are {', '.join(map(repr, self._parts))}")
        if name not in self._caught:
            raise KeyError(f"{name!r} has not run; run the module inside `with tap:` first")
        return self._caught[name]

    def _catching(self, name: str) -> Any:
        def catch(_part: nn.Module, _inputs: Any, output: Any) -> None:
            first = output[0] if isinstance(output, tuple | list) and output else output
            if not isinstance(first, Tensor):
                raise TypeError(
                    f"{name!r} answers with {type(output).__name__}, not with a tensor; tap one of its parts"
                )
            self._caught[name] = first

        return catch
