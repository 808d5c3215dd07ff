"""`Records` accepts what it promises and refuses the rest by name."""

import re

import numpy as np
import pytest
import torch

from privkd.data.records import Records


def toy(n: int = 4) -> Records:
    return Records(torch.arange(2.0 * n).reshape(n, 2), torch.arange(n) % 3, "toy")


def test_records_report_their_size_shape_and_classes():
    records = toy(4)
    assert (len(records), records.shape, records.classes) == (4, (2,), 3)


def test_declared_names_win_over_the_largest_label():
    records = Records(torch.zeros(2, 1), torch.tensor([0, 1]), "toy", ("a", "b", "c"))
    assert records.classes == 3


def test_unlabelled_records_without_names_have_no_number_of_classes():
    with pytest.raises(ValueError, match="labels=None and class_names=None"):
        _ = Records(torch.zeros(2, 1), None, "public").classes


def test_repr_shows_no_value_of_a_record():
    records = Records(torch.full((2, 1), 77.0), torch.tensor([55, 55]), "toy")
    assert "77" not in repr(records)
    assert "55" not in repr(records)
    assert "n=2" in repr(records)


@pytest.mark.parametrize(
    ("inputs", "labels", "names", "message"),
    [
        (torch.zeros(0, 2), None, None, r"inputs.shape=\(0, 2\) is empty"),
        (torch.zeros(2, 0), None, None, r"inputs.shape=\(2, 0\) is empty"),
        (torch.zeros(3), None, None, r"inputs.shape=\(3,\) must be \(n, ...\)"),
        (torch.tensor(1.0), None, None, r"inputs.shape=\(\) must be"),
        (torch.zeros(2, 1, requires_grad=True), None, None, "requires_grad"),
        (torch.tensor([[0.0], [float("nan")]]), None, None, "records with NaN.*isfinite"),
        (torch.tensor([[float("-inf")], [0.0]]), None, None, "infinity.*isfinite"),
        (torch.zeros(3, 1), torch.tensor([0, 1]), None, "3 records but labels has 2"),
        (torch.zeros(2, 1), torch.tensor([0, -1]), None, "labels has negative numbers"),
        (torch.zeros(2, 1), torch.eye(2, dtype=torch.int64), None, "one-hot"),
        (torch.zeros(2, 1), torch.tensor([0, 2]), ("a", "b"), "labels has numbers above 1, but class_names has 2"),
        (torch.zeros(2, 1), None, ("a", "a"), r"repeats \['a'\]"),
        (torch.zeros(2, 1), None, (), "empty"),
    ],
)
def test_impossible_values_are_refused_with_their_cause(inputs, labels, names, message):
    with pytest.raises(ValueError, match=message):
        Records(inputs, labels, "toy", names)


def test_all_problems_are_reported_at_once():
    with pytest.raises(ValueError, match="empty") as caught:
        Records(torch.zeros(0, 2), torch.tensor([-1]), "toy", ("a", "a"))
    for part in ("inputs.shape=(0, 2)", "labels has 1", "labels has negative", "repeats ['a']"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("inputs", np.zeros((2, 1), dtype=np.float32)),
        ("inputs", torch.zeros(2, 1, dtype=torch.float64)),
        ("inputs", torch.zeros(2, 1, dtype=torch.uint8)),
        ("labels", torch.tensor([0.0, 1.5])),
        ("labels", torch.tensor([True, False])),
        ("labels", torch.tensor([0, 1], dtype=torch.int32)),
        ("labels", [0, 1]),
        ("name", None),
        ("class_names", ["a", "b"]),
        ("class_names", (0, 1)),
        ("names_found", 1),
    ],
)
def test_other_types_are_refused_and_never_cast(field, value):
    fields = {"inputs": torch.zeros(2, 1), "labels": None, "name": "toy", "class_names": None, field: value}
    with pytest.raises(TypeError, match=field):
        Records(**fields)


@pytest.mark.parametrize(
    "index",
    [
        [3, 0],
        (3, 0),
        np.array([3, 0], dtype=np.uint8),
        torch.tensor([3, 0], dtype=torch.int32),
        range(3, -1, -3),
    ],
)
def test_take_agrees_with_picking_one_by_one(index):
    records, part = toy(4), toy(4).take(index)
    for position, row in enumerate([3, 0]):
        assert torch.equal(part.inputs[position], records.inputs[row])
        assert part.labels is not None
        assert part.labels[position] == records.labels[row]
    assert len(part) == 2


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor])
def test_take_reads_booleans_as_a_mask(kind):
    part = toy(4).take(kind([False, True, False, True]))
    assert part.inputs[:, 0].tolist() == [2.0, 6.0]


def test_take_of_unlabelled_records_stays_unlabelled():
    part = Records(torch.zeros(3, 1), None, "public").take([0])
    assert part.labels is None
    assert part.class_names is None


def test_a_part_without_the_last_class_keeps_the_number_of_classes():
    assert toy(3).take([0, 1]).classes == toy(3).classes == 3


def test_take_copies():
    records = toy(4)
    records.take([0, 1, 2, 3]).inputs.fill_(9.0)
    assert records.inputs[0, 0] == 0.0


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        ([4], IndexError, "index has 4, allowed are 0 to 3"),
        ([-1], IndexError, "index has -1"),
        ([], ValueError, "m >= 1"),
        (np.array([[0, 1]]), ValueError, r"\(1, 2\)"),
        (np.array([0.0, 1.0]), TypeError, "index.dtype"),
        ([True, False], ValueError, "mask of length 2, but there are 4"),
        ([False] * 4, ValueError, "empty"),
    ],
)
def test_take_refuses_other_indices(index, error, message):
    with pytest.raises(error, match=message):
        toy(4).take(index)


def test_a_refusal_says_neither_a_value_nor_a_row_nor_how_many():
    inputs, labels = torch.zeros(2000, 3), torch.zeros(2000, dtype=torch.int64)
    inputs[777] = float("nan")
    labels[555] = -4321
    with pytest.raises(ValueError, match="NaN") as caught:
        Records(inputs, labels, "toy")
    assert not re.search(r"777|555|4321|\b1\b record", str(caught.value))
    with pytest.raises(ValueError, match="numbers above 1") as caught:
        Records(torch.zeros(2000, 3), labels.abs(), "toy", ("a", "b"))
    assert not re.search(r"555|4321", str(caught.value))
