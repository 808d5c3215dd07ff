"""The small convolutional networks: counted weights, measured activations, folded normalisation, refusals."""

import pytest
import torch
from networks.measured import LiveBytes, parameters
from torch import nn

from privkd.networks import CosineHead, LRNet16, SmallNet, TinyCNN, fuse

torch.manual_seed(0)  # of the networks that are parameters of tests
ROUNDING = 1e-5  # promised for embeddings of order 1


def trained(network: nn.Module, *shape: int) -> nn.Module:
    """A network whose normalisations have scales and statistics that are not those of birth."""
    generator = torch.Generator().manual_seed(0)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.weight.data.copy_(0.5 + torch.rand(part.weight.shape, generator=generator))
            part.bias.data.copy_(torch.rand(part.bias.shape, generator=generator) - 0.5)
    for _ in range(3):
        network(torch.rand(8, *shape, generator=generator))
    return network


@pytest.mark.parametrize(
    ("network", "weights"),
    [
        (LRNet16(), 202_336),
        (fuse(LRNet16()), 202_336 - 2 * (32 + 64 + 96 + 128) + (32 + 64 + 96 + 128)),
        (fuse(LRNet16(separable=True)), 44_384),
        (nn.ModuleList([SmallNet(32), CosineHead(64, 200)]), 101_808),
        (nn.ModuleList([SmallNet(8), CosineHead(64, 40)]), 42_416),
        (TinyCNN(), 3 * 144 + 144 * 32 + 288 * 64 + 2 * (16 + 32 + 64)),
    ],
)
def test_weights_are_as_many_as_published(network, weights):
    assert parameters(network) == weights


@pytest.mark.parametrize(("separable", "most"), [(False, 52_224), (True, 46_080)])
def test_one_image_needs_less_than_57_kilobytes_once_the_network_is_fused(separable, most):
    network = LRNet16(separable=separable).eval()
    measured = {}
    for name, candidate in (("fused", fuse(network)), ("as trained", network)):
        with torch.no_grad(), LiveBytes(candidate) as live:
            candidate(torch.rand(1, 3, 16, 16))
        measured[name] = live.peak
    assert measured["fused"] == most < 57_000
    assert measured["as trained"] > most


def test_the_measure_of_live_bytes_sees_what_is_kept_and_what_is_freed():
    kept, x = [], torch.zeros(256)  # 1,024 bytes
    with LiveBytes(nn.Identity()) as live:
        for _ in range(4):
            y = x + 1
    assert (live.peak, live.now) == (3 * 1024, 2 * 1024)  # x, and y while the next one is made
    with LiveBytes(nn.Identity()) as live:
        kept.extend(x + 1 for _ in range(4))
    assert live.peak == 5 * 1024
    assert y is not kept


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (LRNet16(), (3, 16, 16)),
        (LRNet16(separable=True), (3, 16, 16)),
        (SmallNet(8), (1, 8, 8)),
        (TinyCNN(), (3, 20, 20)),
    ],
)
def test_a_fused_network_answers_the_same_and_leaves_the_other_alone(network, shape):
    network = trained(network, *shape)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    x = torch.rand(16, *shape, generator=torch.Generator().manual_seed(1))
    fused = fuse(network)
    assert network.training
    assert not fused.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(isinstance(part, nn.BatchNorm2d) for part in fused.modules())
    with torch.no_grad():
        expected = network.eval()(x)
        assert (fused(x) - expected).abs().max() < ROUNDING
        for part in network.modules():
            if isinstance(part, nn.BatchNorm2d):  # a fold that ignored the statistics would give this
                part.reset_running_stats()
        assert (network(x) - expected).abs().max() > 100 * ROUNDING


def test_a_normalisation_without_statistics_cannot_be_folded():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2, track_running_stats=False))
    with pytest.raises(ValueError, match="keeps no running statistics"):
        fuse(network)


@pytest.mark.parametrize(("side", "map_side"), [(32, 4), (16, 2), (8, 2), (4, 2), (7, 2), (33, 5)])
def test_a_small_net_takes_its_side_and_no_map_gets_smaller_than_two(side, map_side):
    network = SmallNet(side, width=4, dim=5, channels=2)
    x = torch.rand(3, 2, side, side)
    assert network.blocks(x).shape == (3, 16, map_side, map_side)
    assert network(x).shape == (3, 5)


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (LRNet16(), (2, 3, 16, 15)),
        (LRNet16(), (2, 1, 16, 16)),
        (SmallNet(8), (2, 1, 16, 16)),
        (SmallNet(8), (1, 8, 8)),
        (TinyCNN(), (2, 1, 16, 16)),
    ],
)
def test_images_of_another_shape_are_refused_with_both_shapes(network, shape):
    with pytest.raises(ValueError, match=rf"was given shape \({shape[0]}, .*it takes images of shape \(b, "):
        network(torch.zeros(shape))


@pytest.mark.parametrize("wrong", [{"dim": 0}, {"channels": 0}, {"side": 3}, {"width": 0}])
def test_sizes_that_no_network_has_are_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
        SmallNet(**wrong)
    if "dim" in wrong:
        with pytest.raises(ValueError, match="dim=0"):
            LRNet16(**wrong)
