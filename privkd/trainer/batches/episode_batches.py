"""Episodes for few-shot learning: a few classes, and of each a few rows to learn from and a few to be asked about."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from accountants import check
from privkd.plain import make_plain
from privkd.trainer.batches.order import Rows
from privkd.trainer.batches.ordering import Ordering, require_classes
from privkd.trainer.seeding import generator_of, mixed


def episodes(column: str | Tensor, *, ways: int, shots: int, queries: int) -> Ordering:
    """An order of batches that are episodes, each drawn anew: random classes, and random rows of each, none of them twice.

    `batch["input"].unflatten(0, (-1, ways, shots + queries))` has the episodes of a batch, one if the stage gives no batch size;
    the first `shots` rows of a class are its support. A pass has as many batches as the rows that have a class would fill.

    Args:
        column: the class of each row, see `Ordering`.
        ways: classes in an episode, >= 1.
        shots: rows of each to learn from, >= 1.
        queries: rows of each to be asked about, >= 0. The batch size is a multiple of ways * (shots + queries), and processes
            share whole episodes.

    Source: Vinyals et al., arXiv 1606.04080.
    """
    return Episodes(column, ways, shots, queries)


@dataclass(frozen=True, eq=False)
class Episodes(Ordering):
    """See `episodes`."""

    ways: int
    shots: int
    queries: int

    def __post_init__(self) -> None:
        super().__post_init__()
        make_plain(self)
        check.integer(ways=self.ways, shots=self.shots, at_least=1)
        check.integer(queries=self.queries, at_least=0)

    @property
    def rows_of_episode(self) -> int:
        """Rows of one episode."""
        return self.ways * (self.shots + self.queries)

    def rows_per_step(self, given: int | None, default: int) -> int:
        if given is not None and given % self.rows_of_episode:
            raise ValueError(
                f"batch_size={given} is no multiple of the {self.rows_of_episode} rows of an episode (ways={self.ways} times "
                f"shots={self.shots} + queries={self.queries}); leave it out for one episode per batch"
            )
        return given or self.rows_of_episode

    def over(self, groups: list[Tensor], size: int, seed: int, process: tuple[int, int]) -> Rows:
        require_classes(groups, self.ways, "ways")
        wanted, count = self.shots + self.queries, size // self.rows_of_episode
        short = sum(len(group) < wanted for group in groups)
        if short:
            raise ValueError(
                f"{short} of {len(groups)} classes have fewer rows than the shots={self.shots} + queries={self.queries} that an "
                "episode takes of each; give smaller numbers, or mark rows of small classes by a class below 0"
            )
        if count % process[1]:
            raise ValueError(
                f"{count} episodes per step cannot be shared equally by {process[1]} processes; give batch_size a multiple of "
                f"{process[1] * self.rows_of_episode}"
            )
        return _EpisodeRows(groups, self, count, seed, process)


class _EpisodeRows:
    def __init__(
        self, groups: list[Tensor], settings: Episodes, count: int, seed: int, process: tuple[int, int]
    ) -> None:
        self._groups, self._settings, self._seed = groups, settings, seed
        rank, world = process
        self._mine = range(rank * count // world, (rank + 1) * count // world)
        self.steps_per_epoch = max(1, sum(map(len, groups)) // (count * settings.rows_of_episode))

    def at(self, step: int) -> Tensor:
        return torch.cat([self._episode(generator_of(mixed(self._seed, step, place))) for place in self._mine])

    def _episode(self, generator: torch.Generator) -> Tensor:
        wanted = self._settings.shots + self._settings.queries
        chosen = torch.randperm(len(self._groups), generator=generator)[: self._settings.ways]
        groups = [self._groups[place] for place in chosen.tolist()]
        return torch.cat([group[torch.randperm(len(group), generator=generator)[:wanted]] for group in groups])
