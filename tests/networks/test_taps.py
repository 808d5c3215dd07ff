"""Taps: the maps are those of the pass, the module is left as it was, and what is missing is said in words."""

import pytest
import torch
from torch import nn

from privkd.networks import SmallNet, Tap


def network() -> SmallNet:
    torch.manual_seed(0)
    return SmallNet(8).eval()


def test_maps_are_those_that_the_parts_give_by_hand():
    model, x = network(), torch.rand(3, 1, 8, 8)
    output, maps = Tap(model, ["blocks.0", "blocks.2"])(x)
    assert list(maps) == ["blocks.0", "blocks.2"]
    assert torch.equal(maps["blocks.0"], model.blocks[0](x))
    assert torch.equal(maps["blocks.2"], model.blocks(x))
    assert torch.equal(output, model(x))


def test_gradients_flow_through_maps_unless_the_pass_forbids_them():
    model, x = network(), torch.rand(3, 1, 8, 8)
    tap = Tap(model, ["blocks.1"])
    tap(x)[1]["blocks.1"].sum().backward()
    assert model.blocks[0][0].weight.grad.abs().max() > 0
    with torch.no_grad(), tap:
        model(x)
    assert not tap["blocks.1"].requires_grad


def test_the_module_is_watched_only_inside_with_also_when_it_fails():
    model, x = network(), torch.rand(3, 1, 8, 8)
    tap = Tap(model, "blocks.0")
    with tap:
        model(x)
    first = tap["blocks.0"]
    model(2 * x)
    assert tap["blocks.0"] is first
    with pytest.raises(ValueError, match="given shape"):
        tap(torch.rand(3, 1, 9, 9))
    assert not any(part._forward_hooks for part in model.modules())
    with pytest.raises(KeyError, match="has not run"):  # an old map is never taken for that of a failed pass
        tap["blocks.0"]


def test_the_last_answer_counts_and_a_part_may_have_two_names():
    shared = nn.Linear(2, 2)
    model, x = nn.Sequential(shared, nn.Tanh(), shared), torch.rand(3, 2)
    output, maps = Tap(model, ["0", "2"])(x)
    assert torch.equal(maps["0"], output)
    assert torch.equal(maps["2"], output)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["blocks.3"], r"SmallNet has no part 'blocks\.3'; closest: 'blocks\.\d'"),
        ([], "at least one part"),
        (["blocks"] * 2, "only once"),
    ],
)
def test_names_that_are_missing_or_repeated_are_refused(names, message):
    with pytest.raises(ValueError, match=message):
        Tap(network(), names)


def test_answers_that_are_no_tensors_are_refused_and_of_tuples_the_first_is_taken():
    class Odd(nn.Module):
        def __init__(self, answer):
            super().__init__()
            self.inner = nn.Identity()
            self.answer = answer

        def forward(self, x):
            return self.answer

    one = torch.ones(1)
    assert Tap(nn.Sequential(Odd((one, None))), ["0"])(one)[1]["0"] is one
    with pytest.raises(TypeError, match="'0' answers with dict, not with a tensor"):
        Tap(nn.Sequential(Odd({"x": one})), ["0"])(one)


def test_other_names_are_refused_and_a_tap_watches_once():
    tap = Tap(network(), ["blocks.0"])
    with pytest.raises(KeyError, match=r"'embed' was not tapped; tapped are 'blocks\.0'"):
        tap["embed"]
    with tap, pytest.raises(RuntimeError, match="watching already"), tap:
        pass
