"""The classifier from a crowd passes the battery of systems."""

import dataclasses

import pytest
import torch
from battery.system import System

from privkd.recipes import build, train


class TestDawidSkene(System):
    name = "dawid-skene"
    settings = ("epochs=2", "batch_size=128")

    def inputs(self, data):
        return {"network": (torch.zeros(2, *data.inputs.shape[1:]),)}


def test_a_crowd_without_inputs_and_one_without_truth_are_refused_where_they_are_needed():
    recipe = build("dawid-skene", ["epochs=1"])
    crowd = recipe.example()
    with pytest.raises(ValueError, match="has answers only, and a classifier needs inputs"):
        train(recipe, dataclasses.replace(crowd, inputs=None))
    with pytest.raises(ValueError, match="has no true classes"):
        train(recipe, crowd).evaluate(dataclasses.replace(crowd, truth=None))


def test_figures_of_other_annotators_leave_out_what_needs_the_known_ones():
    recipe = build("dawid-skene")
    crowd = recipe.example()
    trained = train(recipe, crowd)
    assert set(trained.evaluate(crowd)) == {"accuracy", "votes", "answers", "both"}
    assert set(trained.evaluate(dataclasses.replace(crowd, workers=61))) == {"accuracy", "votes"}
    assert trained.evaluate(crowd)["both"] > trained.evaluate(crowd)["votes"]


@pytest.mark.parametrize("settings", ["smoothing=-1", "epochs=0", "batch_size=0", "lr=0", "width=0"])
def test_settings_out_of_range_are_refused_by_name(settings):
    with pytest.raises(ValueError, match=settings.partition("=")[0]):
        build("dawid-skene", [settings])
