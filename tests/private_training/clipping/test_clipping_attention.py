"""Attention taken apart gives the outputs of the library's own layer, and the gradients of single records."""

import pytest
import torch
from torch import nn

from privkd.private_training import Clipper, clipped_sum
from privkd.private_training.clipping.layers.attention import attention_targets, own_forward


def draw(module, *, queries=4, keys=5, rows=3):
    shapes = [(rows, queries, module.embed_dim), (rows, keys, module.kdim), (rows, keys, module.vdim)]
    inputs = [torch.randn(shape, dtype=torch.float64) for shape in shapes]
    return inputs if module.batch_first else [x.transpose(0, 1) for x in inputs]


MASKS = {
    "none": {},
    "bool": {"attn_mask": torch.rand(4, 5, generator=torch.Generator().manual_seed(0)) < 0.4},
    "float": {"attn_mask": torch.linspace(-1, 1, 20).reshape(4, 5).double()},
    "per head": {"attn_mask": torch.linspace(-1, 1, 120).reshape(6, 4, 5).double()},
    "padding": {"key_padding_mask": torch.tensor([[0, 0, 1, 1, 1], [0] * 5, [0, 0, 0, 0, 1]]).bool()},
    "both": {
        "attn_mask": torch.triu(torch.ones(4, 5), 2).bool(),
        "key_padding_mask": torch.tensor([[0, 0, 1, 1, 1], [0] * 5, [0, 0, 0, 0, 1]]).bool(),
    },
    "causal": {"attn_mask": torch.triu(torch.full((4, 5), -torch.inf, dtype=torch.float64), 1), "is_causal": True},
}


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("kdim", [None, 3])
@pytest.mark.parametrize("masks", MASKS)
def test_own_forward_is_the_librarys(first, kdim, masks):
    torch.manual_seed(0)
    module = nn.MultiheadAttention(8, 2, batch_first=first, kdim=kdim, vdim=kdim and 6, bias=kdim is None).double()
    inputs = draw(module)
    names = {id(p): name for name, p in module.named_parameters()}
    seen = []
    mine = own_forward(module, attention_targets(module, names), lambda letter, *_: seen.append(letter))
    for options in ({"need_weights": False}, {}, {"average_attn_weights": False}):
        expected, weights = module(*inputs, **MASKS[masks], **options)
        found, own_weights = mine(*inputs, **MASKS[masks], **options)
        torch.testing.assert_close(found, expected)
        assert (weights is None) == (own_weights is None)
        if weights is not None:
            torch.testing.assert_close(own_weights, weights)
    assert seen == ["q", "k", "v", "out"] * 3


def test_attention_without_a_batch_dimension_and_causal_without_mask_are_refused():
    module = nn.MultiheadAttention(8, 2, batch_first=True)
    mine = own_forward(module, attention_targets(module, {}), lambda *_: None)
    with pytest.raises(Exception, match="without a dimension for the rows"):
        mine(*(torch.randn(4, 8),) * 3)
    with pytest.raises(RuntimeError, match="hint"):
        mine(*(torch.randn(2, 4, 8),) * 3, is_causal=True)


class Attending(nn.Module):
    """Self-attention, then attention to another sequence, optionally with one layer for both."""

    def __init__(self, *, first=True, kdim=None, shared=False):
        super().__init__()
        self.own = nn.MultiheadAttention(8, 2, batch_first=first)
        self.other = self.own if shared else nn.MultiheadAttention(8, 2, batch_first=first, kdim=kdim, vdim=kdim)
        self.first = first

    def forward(self, x, memory):
        if not self.first:
            x, memory = x.transpose(0, 1), memory.transpose(0, 1)
        x = x + self.own(x, x, x, need_weights=False)[0]
        x = x + self.other(x, memory, memory)[0]
        return x if self.first else x.transpose(0, 1)


def attention_loss(model, x, memory):
    return model(x, memory).square().flatten(1).sum(1)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("kind", ["same widths", "other widths", "shared"])
def test_attention_gradients_are_those_of_single_records(twin, first, kind):
    torch.manual_seed(1)
    model = Attending(first=first, kdim=3 if kind == "other widths" else None, shared=kind == "shared").double()
    width = 3 if kind == "other widths" else 8
    data = torch.randn(7, 4, 8).double(), torch.randn(7, 5, width).double()
    bound = float(twin.one_by_one(model, attention_loss, data).norms.median())  # half of the records are clipped
    truth = twin.one_by_one(model, attention_loss, data, bound)
    clipper = Clipper(model, attention_loss, bound, "ghost")
    twin.assert_same(clipper(*data), truth, torch.float64)
    assert "forward" not in vars(model.own)


@pytest.mark.parametrize(
    "frozen", ["own.in_proj_weight", "own.in_proj_bias", "own.out_proj.weight", "other.in_proj_weight"]
)
def test_frozen_parts_of_attention_stay_out(twin, frozen):
    torch.manual_seed(2)
    model = Attending().double()
    model.get_parameter(frozen).requires_grad_(False)
    data = torch.randn(4, 4, 8).double(), torch.randn(4, 5, 8).double()
    found = clipped_sum(model, attention_loss, data, 20.0, "ghost")
    assert frozen not in found.gradients
    twin.assert_same(found, twin.one_by_one(model, attention_loss, data, 20.0), torch.float64)


def test_attention_with_extra_biases_falls_to_vmap(twin):
    class Biased(nn.Module):
        def __init__(self):
            super().__init__()
            self.attend = nn.MultiheadAttention(8, 2, batch_first=True, add_bias_kv=True)

        def forward(self, x):
            return self.attend(x, x, x, need_weights=True)[0]

    def loss(model, x):
        return model(x).square().flatten(1).sum(1)

    model, x = Biased().double(), torch.randn(3, 4, 8).double()
    clipper = Clipper(model, loss, 1.0)
    twin.assert_same(clipper(x), twin.one_by_one(model, loss, (x,), 1.0), torch.float64)
    assert clipper.strategy == "vmap"
    assert "add_bias_kv" in clipper.reasons[0]


def test_a_transformer_layer_is_covered_in_both_modes(twin):
    torch.manual_seed(3)
    model = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.3, batch_first=True).double()
    x = torch.randn(5, 4, 8).double()

    def loss(model, x):
        return model(x).cumsum(-1).square().flatten(1).mean(1)

    model.eval()
    twin.assert_same(
        clipped_sum(model, loss, (x,), 0.1, "ghost"), twin.one_by_one(model, loss, (x,), 0.1), torch.float64
    )
    model.train()
    clipper = Clipper(model, loss, 0.1)
    first, second = clipper(x), clipper(x)
    assert clipper.strategy == "ghost"
    assert not torch.equal(first.norms, second.norms)  # dropout draws
    assert all(module.training for module in model.modules())
