"""Size and speed of a network: counted by hand, and a slower network that must measure slower."""

import time

import pytest
import torch
from torch import nn

from privkd.metrics import measure_speed


class Slow(nn.Module):
    def forward(self, rows):
        time.sleep(0.003)
        return rows


def test_sizes_are_those_counted_by_hand():
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 5)
    )
    network.train()
    found = measure_speed(network, torch.zeros(3, 4, 4), batches=(1, 4))
    assert found.parameters == (3 * 9 + 1) * 8 + 2 * 8 + 128 * 5 + 5
    assert found.state_bytes == 4 * (found.parameters + 2 * 8) + 8  # running mean and variance; one int64 count
    assert found.peak_activation_bytes == 4 * (8 * 16 + 8 * 16)
    assert set(found.rows_per_second) == {1, 4}
    assert min(found.rows_per_second.values()) > 0
    assert (found.threads, found.device, found.repeats) == (torch.get_num_threads(), "cpu", 15)
    assert network.training
    assert int(network[1].num_batches_tracked) == 0
    assert all(not layer._forward_hooks for layer in network)


def test_shared_weights_count_once():
    layer = nn.Linear(4, 4, bias=False)
    found = measure_speed(nn.Sequential(layer, layer), torch.zeros(4), batches=(1,))
    assert (found.parameters, found.state_bytes) == (16, 64)


def test_time_asleep_is_measured_and_a_batch_costs_one_pass():
    found = measure_speed(Slow(), torch.zeros(2), batches=(1, 8), warm_up=1)
    assert found.rows_per_second[1] < 1 / 0.003
    assert found.rows_per_second[8] < 8 / 0.003
    assert found.rows_per_second[8] > 2 * found.rows_per_second[1]
    assert measure_speed(nn.Identity(), torch.zeros(2), batches=(1,)).rows_per_second[1] > 1 / 0.003


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"batches": ()}, "at least one size"),
        ({"batches": (0,)}, "batch_0=0"),
        ({"repeats": 3}, "repeats=3"),
        ({"warm_up": 0}, "warm_up=0"),
    ],
)
def test_meters_that_would_measure_nothing_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        measure_speed(nn.Identity(), torch.zeros(2), **options)
    with pytest.raises(ValueError, match="example must hold one row"):
        measure_speed(nn.Identity(), torch.zeros(0))


def test_a_module_that_fails_keeps_its_mode_and_no_hook():
    network = nn.Sequential(nn.Linear(3, 2))
    network.train()
    with pytest.raises(RuntimeError):
        measure_speed(network, torch.zeros(4))
    assert network.training
    assert not network[0]._forward_hooks
