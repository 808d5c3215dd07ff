"""Federated averaging passes the battery of systems."""

import dataclasses

import pytest
import torch
from battery.system import System

from privkd.data import Records
from privkd.data.bundled import all_digits
from privkd.recipes import build, train

QUICK = ("rounds=2", "clients=4", "local_epochs=1", "min_size=5")


def digits(n=300):
    whole = all_digits()
    return Records(whole.inputs[:n], whole.labels[:n], "digits", whole.class_names)


class TestFedAvg(System):
    name = "fedavg"
    settings = QUICK

    def data(self):
        return digits()

    def inputs(self, data):
        return {"network": (torch.zeros(2, *data.shape),)}


def test_figures_per_client_need_records_of_every_class():
    data = digits()
    trained = train(build("fedavg", QUICK), data)
    assert set(trained.evaluate(data)) == {"accuracy", "inside", "worst_tenth", "outside"}
    assert set(trained.evaluate(data.take(data.labels > 0))) == {"accuracy"}
    counts = trained.deployed["clients"]["counts"]
    assert counts.shape == (4, 10)
    assert abs(int(counts.sum()) - 240) <= 4 / 2  # a fifth is held out, of each of 4 clients up to half a row
    assert trained.deployed["clients"]["accuracy"].shape == (2,)


def test_seeds_move_the_weights_and_split_seeds_the_rows():
    data = digits()
    made = [train(build("fedavg", QUICK), data, seed=seed).deployed for seed in (0, 1)]
    assert torch.equal(made[0]["clients"]["counts"], made[1]["clients"]["counts"])
    assert not torch.equal(*(one["network"].body[1].weight for one in made))
    other = train(build("fedavg", [*QUICK, "split_seed=1"]), data).deployed
    assert not torch.equal(made[0]["clients"]["counts"], other["clients"]["counts"])


def test_records_without_labels_and_those_that_cannot_be_divided_are_refused():
    data = digits()
    with pytest.raises(ValueError, match="have no labels"):
        train(build("fedavg", QUICK), dataclasses.replace(data, labels=None))
    with pytest.raises(ValueError, match="min_size=100"):
        train(build("fedavg", ["min_size=100", "clients=4"]), data)


OUT_OF_RANGE = (
    "clients=1 alpha=0 min_size=1 split_seed=-1 held_out=0 held_out=1 fraction=0 fraction=1.5 rounds=0 local_epochs=0 batch_size=0 "
    "lr=0 width=0"
)


@pytest.mark.parametrize("setting", OUT_OF_RANGE.split())
def test_settings_out_of_range_are_refused_by_name(setting):
    with pytest.raises(ValueError, match=setting.partition("=")[0]):
        build("fedavg", [setting])
