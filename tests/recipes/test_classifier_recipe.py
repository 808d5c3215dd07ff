"""The built-in classifier learns what can be learned and nothing else."""

import pytest
import torch

from privkd.data import Records, load
from privkd.networks import ImageNetwork, VectorNetwork
from privkd.recipes import build, train
from privkd.recipes.baselines.classifier import split


def test_it_learns_digits_and_not_shuffled_ones():
    digits = load("digits")
    accuracy = train(build("classifier"), digits).history[-1]["accuracy"]
    assert accuracy >= 0.95  # 180 held-out rows; a nearest-mean classifier reaches 0.90
    shuffled = digits.labels[torch.randperm(len(digits), generator=torch.Generator().manual_seed(0))]
    mixed = Records(digits.inputs, shuffled, "mixed", digits.class_names)
    assert train(build("classifier", ["epochs=5"]), mixed).history[-1]["accuracy"] < 0.25


def test_the_accuracy_is_that_of_rows_it_never_saw():
    digits = load("digits")
    trained = train(build("classifier", ["epochs=2", "held_out=0.2"]), digits)
    rows, held_out = split(digits, 0.2, 0)
    assert len(held_out) == 360
    assert sorted([*rows.tolist(), *held_out.tolist()]) == list(range(1797))
    right = trained.modules["network"](digits.inputs[held_out]).argmax(dim=1) == digits.labels[held_out]
    assert trained.history[-1]["accuracy"] == float(right.double().mean())


def test_with_nothing_held_out_there_is_no_accuracy():
    digits = load("digits")
    assert "accuracy" not in train(build("classifier", ["held_out=0"]), digits, steps=3).history.names
    assert "accuracy" in train(build("classifier"), digits, steps=3).history.names


@pytest.mark.parametrize(
    ("shape", "settings", "kind", "width"),
    [
        ((64,), {}, VectorNetwork, 128),
        ((1, 8, 8), {}, VectorNetwork, 128),
        ((1, 8, 8), {"network": "cnn"}, ImageNetwork, 16),
        ((1, 28, 28), {}, ImageNetwork, 16),
        ((1, 28, 28), {"network": "mlp", "width": 32}, VectorNetwork, 32),
        ((3, 32, 32), {"width": 8}, ImageNetwork, 8),
        ((5, 7), {}, VectorNetwork, 128),
    ],
)
def test_the_shape_chooses_the_network(shape, settings, kind, width):
    records = Records(torch.rand(9, *shape), torch.arange(9) % 3, "random")
    [stage] = build("classifier", [f"{name}={value}" for name, value in settings.items()]).stages(records)
    network = stage.task.modules["network"]
    assert type(network) is kind
    assert network.config["hidden" if kind is VectorNetwork else "filters"] == width
    assert network(torch.zeros(2, *shape)).shape == (2, 3)


@pytest.mark.parametrize(
    ("records", "settings", "told"),
    [
        (Records(torch.rand(9, 2), None, "bare"), [], "'bare' have no labels"),
        (Records(torch.rand(9, 2), torch.zeros(9, dtype=torch.int64), "flat"), [], "one class only"),
        (Records(torch.rand(1, 2), torch.tensor([1]), "one"), [], "leaves none of 1 records"),
        (Records(torch.rand(9, 2), torch.arange(9), "v"), ["network=cnn"], "needs images"),
        (Records(torch.rand(9, 1, 12, 12), torch.arange(9), "i"), ["width=10"], "multiple of 4"),
    ],
)
def test_records_that_do_not_fit_are_refused(records, settings, told):
    with pytest.raises(ValueError, match=told):
        train(build("classifier", settings), records)


@pytest.mark.parametrize(
    "setting", ["epochs=0", "batch_size=0", "lr=0", "held_out=1", "width=0", "split_seed=-1", "network=tree"]
)
def test_settings_out_of_range_are_refused_by_name(setting):
    with pytest.raises(ValueError, match=setting.split("=")[0]):
        build("classifier", [setting])
