"""Models that mix records or keep what they leave are refused, with everything that is wrong at once; fix() helps."""

import pytest
import torch
from torch import nn

import privkd
from privkd.errors import GuaranteeError, MixedRecordsError, UnsupportedModule
from privkd.private_training import Clipper, clipped_sum, problems


def square_loss(model, x):
    return model(x).flatten(1).square().sum(1)


def mixing_network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 48, 3),
        nn.BatchNorm2d(48),
        nn.Sequential(
            nn.Conv2d(48, 6, 1), nn.InstanceNorm2d(6, affine=True, track_running_stats=True), nn.SyncBatchNorm(6)
        ),
        nn.Flatten(),
        nn.BatchNorm1d(54, affine=False),
    )


def test_all_problems_are_told_at_once_with_their_paths():
    found = problems(mixing_network())
    assert [line.split(" ")[:2] for line in found] == [
        ["1:", "BatchNorm2d"],
        ["2.1:", "InstanceNorm2d"],
        ["2.2:", "SyncBatchNorm"],
        ["4:", "BatchNorm1d"],
    ]
    with pytest.raises(MixedRecordsError) as caught:
        Clipper(mixing_network(), square_loss, 1.0)
    assert all(line in str(caught.value) for line in found)
    assert "privkd.fix(model)" in str(caught.value)
    assert isinstance(caught.value, GuaranteeError)


def test_fixed_statistics_are_allowed_and_train_mode_is_looked_at_every_time(twin):
    model = mixing_network().double().eval()
    assert problems(model) == []
    x = torch.randn(4, 3, 5, 5).double()
    clipper = Clipper(model, square_loss, 1.0)
    twin.assert_same(clipper(x), twin.one_by_one(model, square_loss, (x,), 1.0), torch.float64)
    model.train()
    with pytest.raises(MixedRecordsError, match="BatchNorm2d in train mode"):
        clipper(x)
    assert problems(nn.BatchNorm1d(3, track_running_stats=False).eval())


def test_embeddings_that_look_at_other_records_are_problems():
    assert "max_norm" in problems(nn.Embedding(5, 2, max_norm=1.0))[0]
    assert "scale_grad_by_freq" in problems(nn.Embedding(5, 2, scale_grad_by_freq=True))[0]
    assert problems(nn.Embedding(5, 2, padding_idx=0)) == []


def test_fix_replaces_what_mixes_and_keeps_the_rest():
    model = mixing_network().to(torch.float64)
    with torch.no_grad():
        model[1].weight.uniform_(0.5, 2.0)
    model[1].bias.requires_grad_(False)
    model[2].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fixed = privkd.fix(model)
    assert problems(fixed) == []
    norm = fixed[1]
    assert isinstance(norm, nn.GroupNorm)
    assert (norm.num_groups, norm.num_channels, norm.eps) == (12, 48, model[1].eps)
    assert torch.equal(norm.weight, model[1].weight)
    assert norm.weight is not model[1].weight
    assert (norm.weight.requires_grad, norm.bias.requires_grad) == (True, False)
    assert norm.weight.dtype == torch.float64
    assert not fixed[2][1].track_running_stats
    assert fixed[2][1].running_mean is None
    assert not fixed[2][2].training
    assert fixed[1].training
    assert fixed[4].weight is None
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(fixed[0].weight, model[0].weight)
    assert isinstance(model[1], nn.BatchNorm2d)
    clipper = Clipper(fixed.train(), square_loss, 1.0)
    clipper(torch.randn(3, 3, 5, 5).double())
    assert clipper.strategy == "ghost"


@pytest.mark.parametrize(
    ("channels", "groups"), [(1, 1), (3, 1), (6, 1), (8, 2), (10, 2), (48, 12), (128, 32), (4096, 32)]
)
def test_groups_divide_the_channels_and_hold_four_or_all(channels, groups):
    assert privkd.fix(nn.BatchNorm2d(channels)).num_groups == groups


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nn.SyncBatchNorm])
@pytest.mark.parametrize("features", [1, 2, 3])
def test_fix_puts_in_no_normalisation_over_next_to_nothing(kind, features):
    model = nn.Sequential(nn.Linear(4, features), kind(features), nn.ReLU(), kind(features))
    with pytest.raises(UnsupportedModule, match=rf"1: {kind.__name__}\({features}\), 3: {kind.__name__}"):
        privkd.fix(model)


@pytest.mark.parametrize("features", [4, 6, 64])
def test_features_without_positions_are_normalised_together_and_keep_what_they_say(features):
    fixed = privkd.fix(nn.BatchNorm1d(features))
    assert fixed.num_groups == 1
    out = fixed(torch.randn(200, features, generator=torch.Generator().manual_seed(0)))
    assert torch.linalg.matrix_rank(out.detach()) == features - 1  # the mean alone is lost
    alone = fixed(torch.randn(1, features))  # a batch of one row is one as any other
    assert bool(alone.isfinite().all())


def test_channels_are_few_where_their_positions_are_many_and_refused_where_they_are_not():
    fixed = privkd.fix(nn.BatchNorm2d(2))
    assert bool(fixed(torch.randn(3, 2, 5, 5)).isfinite().all())
    assert fixed(torch.randn(0, 2, 5, 5)).shape == (0, 2, 5, 5)
    with pytest.raises(UnsupportedModule, match="normalises 2 values"):
        fixed(torch.randn(3, 2, 1, 1))
    privkd.fix(nn.BatchNorm2d(8))(torch.randn(3, 8, 1, 1))


def test_fix_keeps_shared_layers_shared_and_refuses_lazy_ones():
    norm = nn.BatchNorm1d(8)
    fixed = privkd.fix(nn.Sequential(norm, nn.ReLU(inplace=True), norm))
    assert fixed[0] is fixed[2]
    assert fixed[1].inplace
    with pytest.raises(UnsupportedModule, match="LazyBatchNorm2d does not know"):
        privkd.fix(nn.Sequential(nn.LazyBatchNorm2d()))


class Remembering(nn.Module):
    """Keeps a mean of what it has seen, without any known layer."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, x):
        self.mean.mul_(0.9).add_(0.1 * x.detach().mean(0))
        return self.layer(x)


class Centring(nn.Module):
    """Normalises by hand, and in train mode only."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x):
        return self.layer(x - x.mean(0) if self.training else x)


@pytest.mark.parametrize("strategy", ["auto", "ghost", "vmap", "loop"])
@pytest.mark.parametrize(
    ("build", "told"), [(Remembering, "mean: the forward pass"), (Centring, "depends on the inputs of another")]
)
def test_behaviour_is_checked_where_types_tell_nothing(strategy, build, told):
    model = build()
    assert problems(model) == []
    with pytest.raises(MixedRecordsError, match=told):
        clipped_sum(model, square_loss, (torch.randn(5, 4),), 1.0, strategy)
    if build is Remembering:
        assert not model.mean.any()  # nothing of the records is left
    if build is Centring:
        clipped_sum(model.eval(), square_loss, (torch.randn(5, 4),), 1.0, strategy)
