"""`student.predict`: whatever arrays a user has, one row or many, under the same rule as everywhere."""

import numpy as np
import pandas
import pytest
import torch
from scipy import sparse
from torch import nn

from privkd.networks import ImageNetwork, VectorNetwork, network_for
from privkd.networks.prediction import Predictor

ROWS = torch.rand(700, 3, generator=torch.Generator().manual_seed(0))


def vector(labels=None) -> VectorNetwork:
    torch.manual_seed(0)
    return VectorNetwork(3, 4, hidden=8, labels=labels)


@pytest.mark.parametrize(
    "same",
    [
        lambda x: x,
        lambda x: x.numpy(),
        lambda x: x.double(),
        lambda x: x.tolist(),
        lambda x: pandas.DataFrame(x.numpy(), columns=["a", "b", "c"]),
        lambda x: sparse.csr_matrix(x.numpy()),
        lambda x: x.numpy()[::-1][::-1],
        lambda x: x.clone().requires_grad_(),
        lambda x: x.numpy().astype(object),
    ],
)
def test_every_kind_of_rows_gives_the_classes_of_the_logits(same):
    network = vector()
    answers = network.predict(same(ROWS))
    assert isinstance(answers, np.ndarray)
    assert answers.tolist() == network.eval()(ROWS).argmax(1).tolist()


def test_probabilities_are_the_softmax_of_the_logits():
    network = vector()
    shares = network.predict_proba(ROWS)
    assert shares.shape == (700, 4)
    assert np.allclose(shares, torch.softmax(network(ROWS), 1).detach().numpy(), atol=1e-6)
    assert np.allclose(shares.sum(axis=1), 1, atol=1e-12)


def test_a_single_row_is_a_batch_of_one():
    network = vector()
    assert network.predict(ROWS[0]).tolist() == network.predict(ROWS[:1]).tolist()
    assert network.predict(pandas.Series([0.1, 0.2, 0.3])).shape == (1,)
    assert network.predict_proba([0.1, 0.2, 0.3]).shape == (1, 4)


def test_uint8_is_divided_by_255_and_nothing_else_is():
    network = vector()
    grey = (ROWS * 255).round()
    assert np.array_equal(network.predict_proba(grey.to(torch.uint8)), network.predict_proba(grey / 255))
    assert np.array_equal(network.predict_proba(grey.int()), network.predict_proba(grey))
    assert not np.allclose(network.predict_proba(grey.int()), network.predict_proba(grey / 255))


@pytest.mark.parametrize("labels", [["a", "b", "c", "d"], [10, 20, 30, 40]])
def test_names_are_what_is_answered_and_belong_to_the_architecture(labels):
    network = vector(labels)
    assert network.predict(ROWS).tolist() == [labels[index] for index in vector().predict(ROWS)]
    assert network.labels == tuple(labels)
    again = VectorNetwork(**network.config)
    assert again.labels == network.labels
    assert "labels" not in vector().config


def test_booleans_may_be_names():
    torch.manual_seed(0)
    network = VectorNetwork(3, 2, labels=[False, True])
    assert network.predict(ROWS).dtype == bool


def test_names_must_fit_the_number_of_classes():
    with pytest.raises(ValueError, match="labels has 2 names for classes=4"):
        vector(["a", "b"])
    with pytest.raises(ValueError, match="repeats"):
        vector(["a", "b", "c", "c"])


@pytest.mark.parametrize("shape", [(5, 1, 12, 14), (5, 12, 14), (5, 168), (1, 12, 14), (12, 14), (168,)])
def test_images_may_be_flat_and_without_their_only_channel(shape):
    network = network_for((1, 12, 14), 3)
    assert isinstance(network, ImageNetwork)
    images = torch.rand(shape)
    assert network.predict(images).tolist() == network(images.reshape(-1, 1, 12, 14)).argmax(1).tolist()


def test_a_network_of_vectors_takes_images_and_images_with_channels_last_are_refused():
    assert VectorNetwork(48, 3).predict(torch.rand(5, 3, 4, 4)).shape == (5,)
    with pytest.raises(ValueError, match="channels come first"):
        ImageNetwork(3, 12, 12, 2).predict(torch.rand(5, 12, 12, 3))


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        (torch.zeros(5, 4), ValueError, r"shape \(5, 4\); one row of shape \(3,\) or \(n, \(3,\)\)"),
        (torch.zeros(0, 3), ValueError, "0 rows"),
        (torch.tensor(1.0), ValueError, "one row of shape"),
        ([[0.0, float("nan"), 0.0]], ValueError, "NaN"),
        (["a", "b", "c"], TypeError, "not numeric"),
        ("rows.csv", TypeError, "inputs=str is not an array"),
        ({"a": 1}, TypeError, "inputs=dict is not an array"),
        (None, TypeError, "inputs=NoneType is not an array"),
        (pandas.DataFrame({"a": [1.0], "b": ["x"], "c": [2.0]}), TypeError, "column 'b'"),
    ],
)
def test_what_cannot_be_predicted_from_is_refused_in_words(inputs, error, message):
    with pytest.raises(error, match=message):
        vector().predict(inputs)


def test_a_foreign_module_keeps_its_class_mode_and_gradients():
    module = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.9)).train()
    predictor = Predictor(module, (3,), ["a", "b", "c", "d"])
    first, second = predictor.predict_proba(ROWS), predictor.predict_proba(ROWS)
    assert np.array_equal(first, second)
    assert module.training
    assert module[1].training
    assert set(predictor.predict(ROWS)) <= {"a", "b", "c", "d"}
    assert all(parameter.grad is None for parameter in module.parameters())


def test_a_foreign_module_that_gives_no_logits_is_refused():
    with pytest.raises(ValueError, match="logits of shape"):
        Predictor(nn.Flatten(0), (3,)).predict(ROWS)
    with pytest.raises(ValueError, match="labels has 2 names"):
        Predictor(nn.Linear(3, 4), (3,), ["a", "b"]).predict(ROWS)


def test_networks_can_still_be_scripted_and_exported():
    network = vector(["a", "b", "c", "d"]).eval()
    assert torch.equal(torch.jit.script(network)(ROWS), network(ROWS))
    exported = torch.export.export(network, (ROWS,)).module()
    assert torch.allclose(exported(ROWS), network(ROWS))
