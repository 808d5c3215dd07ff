"""States survive bytes, and arrays get in and out of modules without anything else."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from privkd.federation import arrays_of, floating_keys, load_arrays, state_from_bytes, state_to_bytes

SCALARS = st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.text())


@given(st.dictionaries(st.text(), SCALARS))
def test_scalars_come_back_with_their_types(state):
    back = state_from_bytes(state_to_bytes(state))
    assert back.keys() == state.keys()
    for name, value in state.items():
        assert type(back[name]) is type(value)
        assert back[name] == value or (isinstance(value, float) and math.isnan(value) and math.isnan(back[name]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool])
def test_tensors_come_back_bit_for_bit_also_of_views(dtype):
    tensor = torch.arange(12).reshape(3, 4).to(dtype).t()
    back = state_from_bytes(state_to_bytes({"a:b": tensor, "empty": tensor[:0], "single": tensor[0, 0]}))
    assert torch.equal(back["a:b"], tensor)
    assert back["a:b"].dtype == dtype
    assert back["empty"].shape == (0, 3)
    assert back["single"].shape == ()


@pytest.mark.parametrize("value", [None, [1], nn.Linear(1, 1), 2**63])
def test_other_things_have_no_bytes(value):
    with pytest.raises((TypeError, ValueError), match="state of a client holds 'x'"):
        state_to_bytes({"x": value})


def test_arrays_are_copies_and_integers_never_travel():
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    keys = floating_keys(net)
    assert "1.num_batches_tracked" not in keys
    assert len(keys) == 6
    arrays = arrays_of(net, keys)
    arrays["0.weight"].fill_(7.0)
    assert not bool((net[0].weight == 7.0).any())
    load_arrays(net, arrays)
    assert bool((net[0].weight == 7.0).all())
    with pytest.raises(ValueError, match="no floating-point"):
        arrays_of(net, ["1.num_batches_tracked"])


@pytest.mark.parametrize("arrays", [{"nothing": torch.zeros(2)}, {"bias": torch.zeros(3)}])
def test_arrays_that_do_not_fit_write_nothing(arrays):
    net = nn.Linear(2, 2)
    before = net.weight.detach().clone()
    with pytest.raises(ValueError, match="no entries of the names and shapes"):
        load_arrays(net, {"weight": torch.zeros(2, 2), **arrays})
    assert torch.equal(net.weight, before)
