"""What an ensemble consists of, whether it was fitted, brought along or read from a folder."""

from __future__ import annotations

from dataclasses import dataclass

from accountants import Ledger
from privkd.certificates.other_releases import require_ledger
from privkd.teachers.member import Member
from privkd.teachers.row_digests import RowDigests
from privkd.teachers.shards import Manifest

ADJACENCY = "replace-one"
_UNIT = "training-record"


@dataclass(frozen=True, slots=True)
class EnsembleParts:
    """The parts of an ensemble.

    Attributes:
        members: the teachers.
        manifest: public facts about the shards.
        input_shape: shape of one input.
        ledger: counts every release of the teachers.
        rows: digests of the private rows, if they were seen.
        size: typical size of the private rows, if they were seen (`privkd.data.ranges`): private, for a warning to the owner.
    """

    members: tuple[Member, ...]
    manifest: Manifest
    input_shape: tuple[int, ...]
    ledger: Ledger
    rows: RowDigests | None = None
    size: float | None = None


def counting_ledger(ledger: Ledger | None, *, records: int) -> Ledger:
    """A ledger that may count the releases of an ensemble: the given one, or a new one without a budget.

    Raises:
        TypeError, ValueError: as `require_ledger`.
    """
    if ledger is None:
        ledger = Ledger(adjacency=ADJACENCY, unit=_UNIT, n=records)
    return require_ledger(ledger, adjacency=ADJACENCY, unit=_UNIT, n=records)
