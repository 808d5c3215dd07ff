"""The interface that every teacher has for a transcription, whatever the caller gave as one."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from accountants import Ledger
from privkd.teachers.row_digests import RowDigests


class TeacherKind(StrEnum):
    """What a teacher can be asked, which decides how it can be transcribed; the values stand in messages."""

    ENSEMBLE = "a TeacherEnsemble"  # votes: one changed record changes one vote per query
    MODULE = "a bare nn.Module"  # answers of one model, of which nobody knows how a record changed it
    CERTIFIED = "a CertifiedModel"  # answers of one model whose training already carries a certificate
    NONE = "no teacher"


@runtime_checkable
class Teacher(Protocol):
    """A teacher as a transcription sees it. The defaults are those of no teacher; a class that subclasses it states what differs.

    Attributes:
        kind: what it can be asked.
        records: number of private records n, if known.
        teachers: how many models answer every query, where there is more than one.
        knows_inputs: whether it was told what inputs look like, so that nothing has to be guessed.
        rows: digests of its private rows, where they were seen.
    """

    kind: TeacherKind
    records: int | None = None
    teachers: int | None = None
    knows_inputs: bool = False
    rows: RowDigests | None = None

    @property
    def data_ledger(self) -> Ledger | None:
        """The ledger in which the use of its private data is accounted, if there is one: its leaks are those of every release."""
        return None

    @property
    def counting(self) -> tuple[Ledger, ...]:
        """The ledgers of its own that count what is released from its answers."""
        return ()

    @property
    def models(self) -> Sequence[Any]:
        """Private models: no student may share a part with one."""
        return ()

    def count_in(self, ledger: Ledger) -> None:
        """Count the releases of its answers in a common ledger, where it keeps a ledger of its own."""

    def require_same_records(self, count: int) -> None:
        """Refuse private records that cannot be those that it was fitted on.

        Raises:
            ValueError: there are more or fewer of them.
        """

    def warn_of_other_range(self, queries: Tensor | None, *, low: float, high: float) -> None:
        """Warn the owner if queries are on another scale than the private rows; see `privkd.data.ranges`."""


class NoTeacher(Teacher):
    """Nobody is asked: the private records are at hand themselves."""

    kind = TeacherKind.NONE
