"""P x K batches for metric learning: so many identities, and so many rows of each."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from accountants import check
from privkd.plain import make_plain
from privkd.trainer.batches.order import Rows
from privkd.trainer.batches.ordering import Ordering, Passes, require_classes, shuffles


def identities(column: str | Tensor, *, people: int, faces: int) -> Ordering:
    """An order of batches with P different identities and K rows of each, one identity after the other.

    Identities come equally often over the passes, each of which is as long as one over all rows that have an identity. Rows of
    an identity with fewer than K are repeated within the batch, as evenly as possible; otherwise they all differ.
    `batch["input"].unflatten(0, (P, K))` has a row per identity; P is the share of a process where several run.

    Args:
        column: the identity of each row, see `Ordering`.
        people: identities in a batch, P >= 1; processes share them.
        faces: rows of each, K >= 1. The batch size is P * K.

    Source: Hermans et al., arXiv 1703.07737.
    """
    return Identities(column, people, faces)


@dataclass(frozen=True, eq=False)
class Identities(Ordering):
    """See `identities`."""

    people: int
    faces: int

    def __post_init__(self) -> None:
        super().__post_init__()
        make_plain(self)
        check.integer(people=self.people, faces=self.faces, at_least=1)

    def rows_per_step(self, given: int | None, default: int) -> int:
        size = self.people * self.faces
        if given not in (None, size):
            raise ValueError(
                f"batch_size={given}, but people={self.people} times faces={self.faces} make batches of {size}; leave it out"
            )
        return size

    def over(self, groups: list[Tensor], size: int, seed: int, process: tuple[int, int]) -> Rows:
        require_classes(groups, self.people, "people")
        if self.people % process[1]:
            raise ValueError(
                f"people={self.people} cannot be shared equally by {process[1]} processes, each of which takes whole identities; "
                "choose a number that they divide"
            )
        return _IdentityPasses(groups, self.people, self.faces, seed, process)


class _IdentityPasses(Passes):
    def __init__(self, groups: list[Tensor], people: int, faces: int, seed: int, process: tuple[int, int]) -> None:
        super().__init__(people * faces, max(1, sum(map(len, groups)) // (people * faces)), seed, process)
        self._groups, self._people, self._faces = groups, people, faces

    def planned(self, generator: torch.Generator) -> Tensor:
        steps, people, count = self.steps_per_epoch, self._people, len(self._groups)
        # Whole batches of a random order of all identities; those that are left over are others in the next order.
        whole = count // people
        turns = shuffles(-(-steps // whole), count, generator)[:, : whole * people].reshape(-1)[: steps * people]
        places = turns.argsort(stable=True).split(turns.bincount(minlength=count).tolist())
        rows = torch.empty(steps * people, self._faces, dtype=torch.int64)
        for group, place in zip(self._groups, places, strict=True):
            rows[place] = self._drawn(group, len(place), generator)
        return rows

    def _drawn(self, group: Tensor, times: int, generator: torch.Generator) -> Tensor:
        """Rows of an identity for so many batches, shape (times, K): all of them as evenly as K allows."""
        count, faces = len(group), self._faces
        if count >= faces:
            whole = count // faces
            order = shuffles(-(-times // whole), count, generator)[:, : whole * faces]
            return group[order.reshape(-1, faces)[:times]]
        repeats = -(-faces // count)
        return group[shuffles(times * repeats, count, generator).reshape(times, repeats * count)[:, :faces]]
