"""The slow, obvious twin of all strategies: one record at a time, in float64, written down once more."""

import copy
import math
from types import SimpleNamespace

import pytest
import torch

EPS = {torch.float32: 2.0**-23, torch.float64: 2.0**-52}


def one_by_one(model, loss_per_sample, batch, bound=math.inf, views=1):
    """Norms, and the sum of flatly clipped gradients, by float64 autograd record by record."""
    double = copy.deepcopy(model).double()
    named = {name: p for name, p in double.named_parameters() if p.requires_grad}
    sums = {name: torch.zeros_like(p) for name, p in named.items()}
    norms = []
    for index in range(len(batch[0])):
        rows = [part[index : index + 1] for part in batch]
        if views > 1:
            rows = [part[0] for part in rows]
        rows = [part.double() if part.is_floating_point() else part for part in rows]
        loss = loss_per_sample(double, *rows).mean()
        gradients = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
        pairs = {name: g for name, g in zip(named, gradients, strict=True) if g is not None}
        norm = math.sqrt(sum(float(g.square().sum()) for g in pairs.values()))
        norms.append(norm)
        for name, g in pairs.items():
            sums[name] += g * (min(1.0, bound / norm) if norm else 1.0)
    return SimpleNamespace(norms=torch.tensor(norms, dtype=torch.float64), gradients=sums)


def assert_same(found, truth, dtype, error_of_loop=0.0):
    """Equal up to rounding: 256 ulps of the longest gradient, or ten times what the plain loop is off in that dtype."""
    scale = float(truth.norms.max()) if len(truth.norms) else 0.0
    tolerance = max(256 * EPS[dtype] * scale, 10 * error_of_loop)
    assert found.gradients.keys() == truth.gradients.keys()
    assert distance(found, truth) <= tolerance


def distance(found, truth):
    """Largest error of a norm, or of the sum of a parameter's gradients, in L2 norm."""
    errors = [float((found.gradients[name].double() - g).norm()) for name, g in truth.gradients.items()]
    if len(truth.norms):
        errors.append(float((found.norms.double() - truth.norms).abs().max()))
    return max(errors)


@pytest.fixture
def twin():
    """The twin and how to compare with it."""
    return SimpleNamespace(one_by_one=one_by_one, assert_same=assert_same, distance=distance)
