"""Every architecture that files may name: it comes back without its class being named, and hostile settings are refused."""

import json

import pytest
import torch
from torch import nn

from privkd.errors import CheckpointError
from privkd.networks import (
    ARCHITECTURES,
    ImageNetwork,
    LRNet16,
    SmallNet,
    TinyCNN,
    TinyViT,
    UNetSmall,
    VectorNetwork,
    architecture_of,
    fuse,
)
from privkd.teachers import load_teacher, save_teacher
from privkd.trainer import seeded

NETWORKS = [
    (lambda: VectorNetwork(4, 3), (4,)),
    (lambda: ImageNetwork(1, 12, 12, 3), (1, 12, 12)),
    (lambda: LRNet16(32, 1), (1, 16, 16)),
    (lambda: LRNet16(32, separable=True), (3, 16, 16)),
    (lambda: SmallNet(8, 4, 6, 2), (2, 8, 8)),
    (lambda: TinyCNN(1, maps=True), (1, 16, 16)),
    (lambda: TinyViT(24, 12, 3, dim=8, layers=2, heads=2, drop_path=0.1), (3, 24, 24)),
    (lambda: UNetSmall(2, 1, (4, 8)), (2, 8, 8)),
]


def used(make, shape):
    """A network whose normalisations have seen something, in eval mode."""
    with seeded(0):
        network = make()
        network(torch.rand(8, *shape))
    return network.eval()


@pytest.mark.parametrize(("make", "shape"), NETWORKS)
@pytest.mark.parametrize("prepare", [lambda network: network, fuse], ids=["as trained", "fused"])
def test_a_registered_network_is_described_and_comes_back_with_its_answers(make, shape, prepare, tmp_path):
    network = prepare(used(make, shape))
    path = save_teacher(network, tmp_path / "t.safetensors")
    back = load_teacher(path)
    x = torch.rand(3, *shape)
    with torch.no_grad():
        torch.testing.assert_close(back(x), network(x), rtol=0, atol=1e-6)  # in-place layers may be summed otherwise
    assert type(back) is type(network)
    assert architecture_of(back) == architecture_of(network)
    assert back.state_dict().keys() == network.state_dict().keys()
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in back.state_dict().items())


def test_every_architecture_is_among_those_that_came_back():
    made = {type(make()) for make, _ in NETWORKS}
    assert made == set(ARCHITECTURES.values())
    assert len({architecture_of(make())["architecture"] for make, _ in NETWORKS}) == len(ARCHITECTURES)


def test_settings_of_a_description_are_plain_values():
    for make, _ in NETWORKS:
        config = architecture_of(make())["settings"]
        assert json.loads(json.dumps(config)) == config


def test_a_fused_network_and_the_one_before_it_do_not_take_each_others_weights(tmp_path):
    network = used(*NETWORKS[4])
    assert fuse(network).config == network.config | {"fused": True}
    assert network.config["fused"] is False
    path = save_teacher(network, tmp_path / "t.safetensors")
    with pytest.raises(CheckpointError, match="no weights were read"):
        load_teacher(path, module=fuse(network))
    edit(path, fused=True)
    with pytest.raises(CheckpointError, match="does not fit SmallNet"):
        load_teacher(path)


@pytest.mark.parametrize(
    ("position", "settings"),
    [
        (2, {"dim": 10**9}),
        (2, {"channels": 10**5}),
        (4, {"side": 10**9}),
        (4, {"side": 4000}),
        (4, {"width": 64, "dim": 64}),
        (4, {"side": "8"}),
        (4, {"side": None}),
        (4, {"depth": 3}),
        (5, {"channels": 0}),
        (6, {"layers": 10**6}),
        (6, {"frames": 3000}),
        (6, {"heads": 3}),
        (6, {"drop_path": 2.0}),
        (6, {"patch": 7}),
        (7, {"widths": [4] * 10**5}),
        (7, {"widths": [10**9]}),
        (7, {"widths": 4}),
        (7, {"widths": []}),
        (7, {"outputs": -1}),
    ],
)
def test_settings_that_are_larger_than_the_file_or_make_no_network_are_refused(
    position, settings, tmp_path, monkeypatch
):
    path = save_teacher(used(*NETWORKS[position]), tmp_path / "t.safetensors")
    edit(path, **settings)

    def allocated(layer):
        assert layer.weight.is_meta, "memory was taken for a network that no file fills"

    monkeypatch.setattr(nn.Linear, "reset_parameters", allocated)
    with pytest.raises(CheckpointError, match="no weights were read"):
        load_teacher(path)


def edit(path, **settings):
    """Another text beside the weights than the one that was saved."""
    text = json.loads(path.with_suffix(".json").read_text())
    text["settings"] |= settings
    path.with_suffix(".json").write_text(json.dumps(text))
