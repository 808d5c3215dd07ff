"""Torch datasets: read by index, compared item by item, refused by item."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset

from privkd.data import load


class Items(Dataset):
    """A list as a dataset."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


class Reused(Dataset):
    """Hands out one buffer for every item."""

    def __init__(self):
        self.buffer = torch.zeros(2)

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return self.buffer.fill_(index), index


class Stream(IterableDataset):
    def __iter__(self):
        yield from range(3)


class Endless(Dataset):
    def __getitem__(self, index):
        return torch.zeros(2)


X = torch.zeros(2)


@pytest.mark.parametrize("label", [1, np.int64(1), np.uint8(1), torch.tensor(1), torch.tensor([1]), np.array(1)])
def test_labels_of_every_integer_kind_are_read(label):
    assert load(Items([(X, label), (X, 0)])).labels.tolist() == [1, 0]


@pytest.mark.parametrize("items", [[X, X], [(X,), (X,)], [[0.0, 0.0], [0.0, 0.0]], [np.zeros(2), np.zeros(2)]])
def test_items_without_labels_give_unlabelled_records(items):
    records = load(Items(items))
    assert records.labels is None
    assert records.inputs.tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_subsets_are_read_in_their_order():
    whole = TensorDataset(torch.arange(5.0)[:, None], torch.arange(5))
    records = load(Subset(whole, [4, 0]))
    assert records.inputs.tolist() == [[4.0], [0.0]]
    assert records.labels.tolist() == [4, 0]
    assert records.name == "Subset"


def test_a_buffer_that_is_used_again_is_copied():
    assert load(Reused()).inputs.tolist() == [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]


@pytest.mark.parametrize(
    ("items", "error", "message"),
    [
        ([], ValueError, "Items has no items"),
        ([X, torch.zeros(3)], ValueError, r"Items\[1\] has shape \(3,\) but Items\[0\] has \(2,\)"),
        ([X, X.double()], ValueError, r"Items\[1\] has dtype float64 but Items\[0\] has float32"),
        ([(X, 0), X], ValueError, r"Items\[1\] and Items\[0\] disagree"),
        ([X, (X, 0)], ValueError, r"Items\[1\] and Items\[0\] disagree"),
        ([(X, 0, 0)], TypeError, r"Items\[0\] is a tuple of 3"),
        ([(X, 0), (X, 1.5)], TypeError, "float64 numbers with fractions"),
        ([(X, torch.tensor([0, 1]))], TypeError, r"shape=\(2,\)"),
        ([(X, "cat"), (X, 0)], TypeError, r"labels of the kinds \['int', 'str'\]"),
        ([(X, None)], TypeError, r"Items\[0\] label=NoneType"),
        ([(X, 0), (X, -1)], ValueError, "labels has negative numbers"),
        ([(Image.new("L", (2, 2)), 0)], TypeError, "input of type Image; give the dataset a transform"),
        ([{"x": X}], TypeError, "input of type dict"),
        ([1.0, 2.0], ValueError, r"one number per record is \(n, 1\)"),
    ],
)
def test_items_that_do_not_fit_are_refused_by_index(items, error, message):
    with pytest.raises(error, match=message):
        load(Items(items))


@pytest.mark.parametrize("kind", [Stream, Endless])
def test_datasets_without_length_are_refused(kind):
    with pytest.raises(TypeError, match=f"{kind.__name__} is not a map-style dataset"):
        load(kind())


@pytest.mark.parametrize(
    ("labels", "indices", "names"),
    [
        (["dog", "cat", "dog"], [1, 0, 1], ("cat", "dog")),
        ([True, False, True], [1, 0, 1], ("False", "True")),
        ([2.0, 0.0, 1.0], [2, 0, 1], None),
    ],
)
def test_labels_of_items_may_be_text_booleans_and_whole_floats(labels, indices, names):
    records = load(Items([(X, label) for label in labels]), classes="found")
    assert records.labels.tolist() == indices
    assert records.class_names == names


def test_uint8_items_of_every_shape_are_divided_by_255():
    assert load(Items([torch.tensor([0, 255], dtype=torch.uint8)])).inputs.tolist() == [[0.0, 1.0]]
    assert load(Items([torch.tensor([0, 255], dtype=torch.int16)])).inputs.tolist() == [[0.0, 255.0]]
