"""Seeds: public ones repeat a run, secret ones cannot be tried out."""

import random

import numpy as np
import pytest
import torch

from privkd.trainer.seeding import generator_of, mixed, secret_seed, seeded


def draws(seed):
    """What every generator gives after this seed."""
    with seeded(seed):
        return {
            "torch": torch.rand(4).tolist(),
            "numpy": np.random.rand(4).tolist(),
            "python": random.random(),
            "generator": torch.rand(4, generator=generator_of(seed)).tolist(),
        }


@pytest.mark.parametrize("bit", [0, 31, 32, 63, 64, 128, 255])
def test_every_bit_of_a_secret_seed_changes_every_generator(bit):
    """The generators of torch and numpy look at 32 bits of a seed: whoever knew the rest could try them all."""
    seed = secret_seed()
    one, other = draws(seed), draws(seed ^ (1 << bit))
    assert all(one[name] != other[name] for name in one)
    assert draws(seed) == one


def test_torch_alone_ignores_all_but_32_bits():
    one, other = (torch.rand(4, generator=torch.Generator().manual_seed(seed)).tolist() for seed in (7, 7 + 2**32))
    assert one == other


def test_what_is_mixed_of_a_secret_seed_is_secret_and_differs():
    seed = secret_seed()
    made = {mixed(seed, *numbers) for numbers in [(), (0,), (1,), (0, 0), (0, 1), (1, 0)]}
    assert len(made) == 6
    assert all(one >= 2**256 for one in made)
    assert len({one % 2**32 for one in made}) == 6


def test_public_seeds_are_those_of_torch():
    with seeded(5):
        here = torch.rand(3)
    assert torch.equal(here, torch.rand(3, generator=torch.Generator().manual_seed(5)))
    assert torch.equal(here, torch.rand(3, generator=generator_of(5)))
    assert 0 <= mixed(5, 1, 2) < 2**63


def test_a_filled_state_draws_uniform_and_normal_numbers():
    generator = generator_of(secret_seed())
    uniform = torch.rand(100_000, generator=generator, dtype=torch.float64)
    normal = torch.randn(100_000, generator=generator, dtype=torch.float64)
    assert float(uniform.mean()) == pytest.approx(0.5, abs=6 / (12 * 100_000) ** 0.5)
    assert float(normal.mean()) == pytest.approx(0.0, abs=6 / 100_000**0.5)
    assert float(normal.var()) == pytest.approx(1.0, abs=6 * (2 / 100_000) ** 0.5)


def test_the_callers_generators_come_back():
    states = torch.get_rng_state(), np.random.get_state()[1].tolist()
    with seeded(secret_seed()):
        torch.rand(3)
        np.random.rand(3)
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1] == np.random.get_state()[1].tolist()
