"""What a run reported, as rows and as a table; and what it may release."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from privkd.certificates.release import Transcription
from privkd.errors import GuaranteeError
from privkd.networks.fingerprint import digest

if TYPE_CHECKING:
    from torch import nn

    from privkd.certificates.certificate import Certificate

Row = dict[str, Any]
"""Numbers by name; the stage is a string."""


class History(Sequence[Row]):
    """Rows in the order in which they were reported; each has `step` and the means of losses and logs since the last.

    Args:
        rows: as a run reports them.
        leaks: what was written down although nothing protects it, in words.

    Attributes:
        certificate: of a run with private gradients: what its iterates guarantee; None for any other run.
    """

    certificate: Certificate | None = None

    def __init__(self, rows: Iterable[Row] = (), *, leaks: tuple[str, ...] = ()) -> None:
        self.rows, self.leaks = list(rows), leaks
        self._modules: dict[str, nn.Module] = {}
        self._digests: dict[str, bytes] = {}

    def certify(self, certificate: Certificate, modules: Mapping[str, nn.Module]) -> None:
        """Take over what a finished run guarantees about its modules, as they are now."""
        self.certificate = certificate
        self._modules = dict(modules)
        self._digests = {name: digest(module) for name, module in modules.items()}

    def release(self, module: str | None = None) -> Transcription:
        """A module that a run with `privacy=` has trained, as it may be published: `history.release().save(directory)`.

        `privkd.load`, `privkd audit` and `privkd report` read what is saved like any other release, and
        `privkd.CertifiedModel(privkd.load(directory))` makes a teacher of it.

        Args:
            module: its name in the task's `modules`; may be left out if there is one.

        Returns:
            Transcription: a copy of the module in eval mode, with the certificate of the run. `save` keeps its weights; one
            that privkd did not build is loaded with `privkd.load(directory, student=MyNet())`.

        Raises:
            GuaranteeError: the run had no `privacy=`, or the module was changed after the run.
            CertificateError: the ledger was charged after the run, so that its certificate does not tell all of it any more.
            ValueError: there are several modules, or none of that name.
        """
        if self.certificate is None or self.certificate.ledger is None:
            raise GuaranteeError(
                "this run guarantees nothing, so that there is nothing to release: give Trainer(privacy=PrivateGradients(...)), "
                "or make a student with privkd.transcribe"
            )
        if module is None and len(self._modules) == 1:
            (module,) = self._modules
        if module not in self._modules:
            raise ValueError(f"module={module!r}: name one of the run's modules, {', '.join(map(repr, self._modules))}")
        trained = self._modules[module]
        if digest(trained) != self._digests[module]:
            raise GuaranteeError(
                f"module {module!r} was changed after the run, and the certificate speaks of what the run trained. Release it "
                "before it is used elsewhere, or load the state that the run left"
            )
        self.certificate.verify()
        return Transcription(
            student=copy.deepcopy(trained).eval(),
            generator=None,
            certificate=self.certificate,
            ledger=self.certificate.ledger,
            history=[] if self.leaks else list(self.rows),
            method="private-training",
            spec=None,
        )

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> list[Row]: ...
    def __getitem__(self, place: int | slice) -> Row | list[Row]:
        return self.rows[place]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # rows may be added

    @property
    def names(self) -> list[str]:
        """Names of the columns, in the order in which they first appeared."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def column(self, name: str) -> list[float]:
        """One number per row; NaN where a row has none.

        Raises:
            KeyError: no row has it; the message lists the names.
        """
        if name not in self.names:
            raise KeyError(f"{name!r} was not reported; known: {', '.join(self.names)}")
        return [float(row.get(name, math.nan)) for row in self.rows]

    def __str__(self) -> str:
        names = self.names
        lines = [[*names], *([_shown(row.get(name)) for name in names] for row in self.rows)]
        widths = [max(len(line[place]) for line in lines) for place in range(len(names))]
        return "\n".join("  ".join(cell.rjust(w) for cell, w in zip(line, widths, strict=True)) for line in lines)


def _shown(value: float | str | None) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else f"{value:.6g}"
