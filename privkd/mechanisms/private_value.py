"""A box for values that must not leave the aggregator before a mechanism has randomized them.

Teachers return their answers in this box. It shows its shape and nothing else; only `privkd.mechanisms` opens
it. It is a guard against accidents (a log line, a candidate set made from the teacher's own answer), not a
defence against code that wants to cheat.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

from torch import Tensor

from accountants import Ledger
from privkd.errors import PrivateValueError


class Private:
    """Holds a tensor that depends on private data.

    Args:
        value: any tensor.
        origin: what it is, for error messages, e.g. `"vote counts of 100 teachers"`.
        ledgers: those of the data that it came from, which a mechanism charges beside the release's own.
    """

    __slots__ = ("_value", "ledgers", "origin")

    def __init__(self, value: Tensor, *, origin: str, ledgers: Iterable[Ledger] = ()) -> None:
        self._value = value
        self.origin = origin
        self.ledgers = tuple(ledgers)

    def counted_in(self, ledgers: Iterable[Ledger]) -> Private:
        """The same value, whose release further ledgers count, too."""
        return Private(self._value, origin=self.origin, ledgers=(*self.ledgers, *ledgers))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the value (public: it follows from the number of queries and classes)."""
        return tuple(self._value.shape)

    def __len__(self) -> int:
        return len(self._value)

    def __repr__(self) -> str:
        return f"Private({self.origin}, shape={self.shape}, values hidden)"

    def __reduce__(self) -> NoReturn:
        raise PrivateValueError(f"{self!r} cannot be written to disk; release it through a mechanism first")

    def __array__(self, *args: object, **kwargs: object) -> NoReturn:
        raise PrivateValueError(f"{self!r} was read outside a mechanism; pass it to privkd.mechanisms instead")

    @classmethod
    def __torch_function__(cls, func: object, types: object, args: object = (), kwargs: object = None) -> NoReturn:
        """Refuse every torch function on a boxed value."""
        raise PrivateValueError(
            f"{getattr(func, '__name__', func)} was called on a private value; pass it to a mechanism of "
            "privkd.mechanisms, which charges the ledger and adds noise"
        )

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):  # protocols that Python probes for
            raise AttributeError(name)
        raise PrivateValueError(f"{self!r}.{name} was read outside a mechanism; pass it to privkd.mechanisms instead")

    def unsafe_value(self) -> Tensor:
        """The private tensor itself. For mechanisms and tests; anything computed from it is not protected."""
        return self._value


def unboxed(value: Private | Tensor) -> Tensor:
    """The tensor in the box, or the value itself, on the CPU and without its graph; for mechanisms."""
    return (value.unsafe_value() if isinstance(value, Private) else value).detach().cpu()
