"""Batches of private runs: who takes part is random where it is paid for as random, and the event is that of the loader."""

import math
from fractions import Fraction

import pytest
import torch

from accountants import FixedSizeSampled, Gaussian, PoissonSampled, Shuffled
from accountants.auditing.loader import disagreements, remarks
from privkd.mechanisms import SeededNoise, SystemNoise
from privkd.mechanisms.noise import NoiseSource
from privkd.private_training.batches import CyclicDraws, FixedSizeDraws, PoissonDraws, ShuffledDraws, draws_for


def test_poisson_records_enter_independently_with_the_stated_probability():
    draws = PoissonDraws(200, 30, SeededNoise(1))
    member = torch.zeros(4000, 200)
    for step in range(4000):
        member[step, draws.at(step)] = 1.0
    q = 0.15
    deviation = math.sqrt(q * (1 - q) / 4000)
    assert (member.mean(0) - q).abs().max() < 5 * deviation
    sizes = member.sum(1)
    # Variance n q (1 - q): a batch of fixed size has none, a shared coin has n times as much.
    assert sizes.var().item() == pytest.approx(200 * q * (1 - q), rel=5 * math.sqrt(2 / 4000))
    together = (member[:, :-1] * member[:, 1:]).mean(0)
    assert (together - q * q).abs().max() < 5 * math.sqrt(q * q / 4000)


def test_the_probability_is_never_above_the_one_that_is_paid_for():
    class Recording(SeededNoise):
        def bernoulli(self, count, *, threshold):
            self.threshold = threshold
            return super().bernoulli(count, threshold=threshold)

    for n, batch in [(7, 3), (60_000, 600), (3, 1), (10, 10)]:
        source = Recording(0)
        PoissonDraws(n, batch, source).at(0)
        charged = Fraction(min(batch, n) / n) * 2**64  # of the number that stands in the event
        assert source.threshold <= charged < source.threshold + 1


def test_poisson_batches_may_be_empty_and_a_full_batch_has_everybody():
    assert any(len(PoissonDraws(5, 1, SeededNoise(seed)).at(0)) == 0 for seed in range(20))
    assert PoissonDraws(5, 9, SystemNoise()).at(0).tolist() == [0, 1, 2, 3, 4]


def test_processes_together_sample_every_record_once():
    parts = [PoissonDraws(101, 101, SystemNoise(), (rank, 3)).at(0) for rank in range(3)]
    assert torch.cat(parts).sort().values.tolist() == list(range(101))
    some = [PoissonDraws(3000, 300, SeededNoise(rank), (rank, 3)).at(0) for rank in range(3)]
    assert sum(map(len, some)) == pytest.approx(300, abs=5 * math.sqrt(270))
    assert all(bool((part % 3 == rank).all()) for rank, part in enumerate(some))


@pytest.mark.parametrize("kind", [PoissonDraws, FixedSizeDraws, ShuffledDraws, CyclicDraws])
def test_a_step_is_drawn_once_however_often_it_is_asked_for(kind):
    draws = kind(50, 10, SystemNoise())
    first = [draws.at(step).tolist() for step in (0, 1, 2, 7)]
    assert [draws.at(step).tolist() for step in (0, 1, 2, 7)] == first


@pytest.mark.parametrize("kind", [PoissonDraws, FixedSizeDraws, ShuffledDraws])
def test_batches_come_from_the_operating_system_and_no_seed_repeats_them(kind):
    torch.manual_seed(0)
    one = [kind(1000, 100, SystemNoise()).at(step).tolist() for step in range(3)]
    torch.manual_seed(0)
    two = [kind(1000, 100, SystemNoise()).at(step).tolist() for step in range(3)]
    assert one != two


def test_fixed_size_batches_have_no_repetition_and_are_uniform():
    draws = FixedSizeDraws(40, 8, SeededNoise(0))
    member = torch.zeros(3000, 40)
    for step in range(3000):
        rows = draws.at(step)
        assert len(rows.unique()) == len(rows) == 8
        member[step, rows] = 1.0
    assert (member.mean(0) - 0.2).abs().max() < 5 * math.sqrt(0.16 / 3000)


def test_a_pass_of_shuffled_batches_shows_everybody_once_in_a_new_order():
    draws = ShuffledDraws(12, 4, SystemNoise())
    passes = [torch.cat([draws.at(3 * epoch + place) for place in range(3)]).tolist() for epoch in range(4)]
    assert all(sorted(one) == list(range(12)) for one in passes)
    assert len({tuple(one) for one in passes}) > 1


def test_cyclic_batches_are_the_same_in_every_pass():
    draws = CyclicDraws(13, 4, SystemNoise())
    assert [draws.at(step).tolist() for step in range(3)] == [draws.at(step).tolist() for step in range(3, 6)]
    assert torch.cat([CyclicDraws(13, 4, SystemNoise(), (rank, 2)).at(1) for rank in range(2)]).sort().values.tolist() == [
        4, 5, 6, 7,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "adjacency", "expected"),
    [
        (PoissonDraws, "add-remove", PoissonSampled(0.1, Gaussian(2.0)) * 30),
        (
            PoissonDraws,
            "replace-one",
            PoissonSampled(0.1, Gaussian(2.0)) * 30,
        ),  # relative to the clipping norm, by its definition
        (
            FixedSizeDraws,
            "replace-one",
            FixedSizeSampled(10, 100, Gaussian(1.0)) * 30,
        ),  # g to g' moves the sum by twice the norm
        (ShuffledDraws, "zero-out", Shuffled(10, 100, 3, Gaussian(2.0))),
        (CyclicDraws, "zero-out", Gaussian(2.0) * 3),
        (CyclicDraws, "replace-one", Gaussian(1.0) * 3),
    ],
)
def test_the_event_is_that_of_the_loader(kind, adjacency, expected):
    draws = kind(100, 10, SystemNoise())
    assert adjacency in kind.adjacencies
    assert draws.event(2.0, 30, adjacency) == expected


@pytest.mark.parametrize("kind", ["poisson", "fixed-size", "shuffled"])
def test_what_the_loader_states_agrees_with_the_event_and_another_loader_does_not(kind):
    draws = draws_for(kind, 100, 10, SystemNoise(), (0, 1))
    event, stated = draws.event(2.0, 30, draws.adjacencies[0]), draws.sampler(30)
    assert disagreements(stated, [event], n=100) == ([], [])
    assert remarks(stated, [event], n=100) == []
    for other in {"poisson", "fixed-size", "shuffled"} - {kind}:
        assert disagreements(draws_for(other, 100, 10, SystemNoise(), (0, 1)).sampler(30), [event], n=100) != ([], [])


def test_a_permutation_is_drawn_again_when_keys_collide():
    class Colliding(NoiseSource):
        secure = False
        calls = 0

        def words(self, count):
            self.calls += 1
            return SeededNoise(self.calls).words(count) * (0 if self.calls == 1 else 1)

    source = Colliding()
    assert sorted(FixedSizeDraws(6, 6, source).at(0).tolist()) == list(range(6))
    assert source.calls == 2
