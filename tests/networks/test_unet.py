"""The small U-Net: counted weights, maps, skips and times that matter, and refusals."""

import pytest
import torch
from networks.measured import parameters

from privkd.networks import UNetEncoder, UNetSmall


def block_weights(a: int, b: int) -> int:
    """Two 3x3 convolutions with biases and two group normalisations."""
    return 9 * a * b + b + 2 * b + 9 * b * b + b + 2 * b


def test_weights_are_counted_by_hand():
    encoder = sum(block_weights(a, b) for a, b in ((1, 16), (16, 32), (32, 64)))
    decoder = block_weights(64 + 32, 32) + block_weights(32 + 16, 16)
    assert parameters(UNetSmall()) == encoder + decoder + 9 * 17 + 1 == 118_762
    times = 33 * 16 + sum(17 * width for width in (16, 32, 64))
    assert parameters(UNetSmall(timed=True)) == 118_762 + times


def test_maps_halve_and_the_answer_has_the_size_of_the_input():
    network = UNetSmall(2, 3)
    x = torch.rand(2, 2, 24, 40)
    assert [tuple(found.shape) for found in network.encoder(x)] == [(2, 16, 12, 20), (2, 32, 6, 10), (2, 64, 3, 5)]
    assert network(x).shape == (2, 3, 24, 40)
    assert UNetSmall(widths=(8,))(torch.rand(1, 1, 2, 2)).shape == (1, 1, 2, 2)


def test_every_map_and_the_input_itself_reach_the_answer():
    network, x = UNetSmall(), torch.rand(1, 1, 16, 16)
    maps = network.encoder(x)
    found = {"maps": [value.detach().requires_grad_() for value in maps]}
    network.encoder.forward = lambda x, time=None: found["maps"]
    network(x.requires_grad_()).square().sum().backward()
    assert all(value.grad is not None and value.grad.abs().max() > 0 for value in found["maps"])
    assert x.grad is not None
    assert x.grad.abs().max() > 0


def test_times_shift_the_maps_row_by_row():
    network, x = UNetSmall(timed=True).eval(), torch.rand(2, 1, 16, 16)
    first, other = network(x, torch.tensor([0.1, 0.5])), network(x, torch.tensor([0.1, 0.6]))
    assert torch.allclose(first[0], other[0], atol=1e-6)
    assert not torch.allclose(first[1], other[1], atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 1, 12, 16), (1, 1, 16, 20), (1, 2, 16, 16), (1, 16, 16)])
def test_sides_that_strides_do_not_divide_are_refused(shape):
    with pytest.raises(ValueError, match=r"takes \(b, 1, height, width\) with sides that are multiples of 8"):
        UNetSmall()(torch.zeros(shape))


def test_times_that_are_missing_or_not_wanted_are_refused():
    x = torch.zeros(2, 1, 8, 8)
    with pytest.raises(ValueError, match="takes no time"):
        UNetSmall()(x, torch.zeros(2))
    for time in (None, torch.zeros(3), torch.zeros(2, 1)):
        with pytest.raises(ValueError, match="needs one time per row"):
            UNetSmall(timed=True)(x, time)


@pytest.mark.parametrize("widths", [(), (6,), (16, 0)])
def test_widths_that_cannot_be_normalised_in_groups_are_refused(widths):
    with pytest.raises(ValueError, match="must be multiples of 4"):
        UNetEncoder(1, widths)
