"""A crowd keeps who said what, through tables, parts, folders and files."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from privkd.data import Crowd

DENSE = torch.tensor([[0, 1, -1, -1], [-1, 1, 1, -1], [2, -1, -1, -1]])


def toy(**fields):
    return Crowd.from_dense(DENSE, "toy", **fields)


@st.composite
def tables(draw):
    n, workers = draw(st.integers(1, 8)), draw(st.integers(1, 5))
    rows = st.lists(st.integers(-1, 3), min_size=workers, max_size=workers).filter(lambda row: max(row) >= 0)
    return torch.tensor(draw(st.lists(rows, min_size=n, max_size=n)))


@given(table=tables(), data=st.data())
def test_a_table_comes_back_whole_in_parts_and_in_batches(table, data):
    crowd = Crowd.from_dense(table, "toy", inputs=torch.arange(len(table) * 2.0).reshape(-1, 2))
    assert torch.equal(crowd.dense(), table)
    index = data.draw(st.lists(st.integers(0, len(table) - 1), min_size=1, max_size=10))
    assert torch.equal(crowd.take(index).dense(), table[index])
    batch = Crowd.collate([crowd[row] for row in index])
    assert torch.equal(batch["answers"], table[index])
    assert torch.equal(batch["input"], crowd.inputs[index])


def test_workers_without_answers_are_legal_and_stay_in_parts():
    crowd = toy()
    assert (crowd.workers, len(crowd), crowd.classes) == (4, 3, 3)
    part = crowd.take([0])
    assert (part.workers, len(part), part.classes) == (4, 1, 3)


def test_answers_in_any_order_are_the_same_crowd_and_a_repeated_one_counts_once():
    order = [3, 0, 4, 0, 2, 1]
    item, worker, label = (column[order] for column in (toy().item, toy().worker, toy().label))
    assert torch.equal(Crowd(item, worker, label, 3, 4, "toy").dense(), DENSE)


def triplets(**change):
    fields = {"item": [0, 0, 1], "worker": [0, 1, 0], "label": [1, 0, 1]} | change
    return {name: torch.tensor(value, dtype=torch.int64) for name, value in fields.items()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"item": [0, 0, 0], "worker": [0, 1, 2]}, "item 1 has no answer"),
        ({"worker": [0, 0, 0]}, "worker 0 gave item 0 two different labels"),
        ({"item": [0, 2, 1]}, "item has a number outside 0..1, first in answer 1"),
        ({"item": [0, -1, 1]}, "item has a number outside 0..1, first in answer 1"),
        ({"worker": [0, 1, 3]}, "worker has a number outside 0..2, first in answer 2"),
        ({"label": [0, 0, -1]}, "label has a negative number, first in answer 2"),
        ({"label": [0, 0]}, "each must be"),
        ({"item": [], "worker": [], "label": []}, "each must be"),
    ],
)
def test_impossible_answers_are_refused_by_their_position(change, message):
    with pytest.raises(ValueError, match=message):
        Crowd(**triplets(**change), rows=2, workers=3, name="toy")


@pytest.mark.parametrize(
    ("beside", "message"),
    [
        ({"inputs": torch.zeros(3, 2)}, r"inputs.shape=\(3, 2\) must be \(2, ...\)"),
        ({"inputs": torch.tensor([[0.0], [np.nan]])}, "NaN or infinite values, first in row 1"),
        ({"truth": torch.tensor([0, -2])}, "truth has a number below -1, first in row 1"),
        ({"truth": torch.tensor([0])}, "truth.shape"),
        ({"class_names": ("a",)}, "above 0, the last of class_names, first in answer 0"),
        ({"class_names": ("a", "a")}, "repeats"),
        ({"rows": 0}, "rows=0"),
        ({"workers": -1}, "workers=-1"),
        ({"workers": 2**40}, "workers"),
    ],
)
def test_what_does_not_fit_the_answers_is_refused(beside, message):
    with pytest.raises(ValueError, match=message):
        Crowd(**{**triplets(), "rows": 2, "workers": 3, "name": "toy", **beside})


def test_nothing_is_cast():
    with pytest.raises(TypeError):
        Crowd.from_dense(DENSE.float(), "toy")
    with pytest.raises(TypeError):
        Crowd(**{**triplets(), "label": torch.zeros(3)}, rows=2, workers=3, name="toy")


def test_items_that_nobody_answered_are_left_out_only_where_that_is_asked_for():
    table = torch.tensor([[0, 1], [-1, -1], [1, -1]])
    with pytest.raises(ValueError, match="item 1 has no answer"):
        Crowd.from_dense(table, "toy")
    inputs, truth = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([0, 1, 2])
    crowd = Crowd.from_dense(table, "toy", inputs=inputs, truth=truth, drop_unanswered=True)
    assert (crowd.dense().tolist(), crowd.inputs.tolist(), crowd.truth.tolist()) == (
        [[0, 1], [1, -1]],
        [[0.0], [2.0]],
        [0, 2],
    )
    with pytest.raises(ValueError, match="below -1, first in row 0"):
        Crowd.from_dense(table - 2, "toy")


def test_truth_is_in_no_row():
    assert set(toy(truth=torch.tensor([0, 1, 2]))[0]) == {"worker", "answer", "workers"}


def test_a_saved_folder_gives_the_same_crowd(tmp_path):
    crowd = toy(inputs=torch.rand(3, 2), truth=torch.tensor([0, 1, -1]), class_names=("a", "b", "c"))
    crowd.save(tmp_path / "out")
    again = Crowd.read(tmp_path / "out")
    assert torch.equal(again.dense(), DENSE)
    assert torch.equal(again.inputs, crowd.inputs)
    assert (again.truth.tolist(), again.class_names, again.workers) == ([0, 1, -1], ("a", "b", "c"), 4)
    toy().save(tmp_path / "bare")
    assert Crowd.load(tmp_path / "bare").inputs is None


TABLE = "item,worker,label,note\n0,0,cat,\n1,2,dog,so\n0,2,dog,\n"


@pytest.mark.parametrize(
    ("suffix", "text"), [("csv", TABLE), ("tsv", TABLE.replace(",", "\t")), ("csv", "\ufeff" + TABLE)]
)
def test_tables_of_triplets_are_read(tmp_path, suffix, text):
    path = tmp_path / f"answers.{suffix}"
    path.write_text(text, encoding="utf-8")
    crowd = Crowd.read(path, classes=["dog", "cat"])
    assert (crowd.dense().tolist(), crowd.name) == ([[1, -1, 0], [-1, -1, 0]], "answers")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("item,worker\n0,0\n", "no column 'label'"),
        ("item,item,worker,label\n", "each by a name of its own"),
        ("", "must name the columns"),
        ("item,worker,label\n", "no rows"),
        ("item,worker,label\n0,0,1\n0,1\n", "line 3 has 2 fields"),
        ("item,worker,label\n0,s3cret,1\n", "worker in row 0 is no whole number"),
        ("item,worker,label\n1.5,0,1\n", "item in row 0 is no whole number"),
        ("item,worker,label\n-1,0,1\n", "item has numbers outside"),
        ("item,worker,label\n0,99999999999,1\n", "worker has numbers outside"),
        ("item,worker,label\n0,0,0\n5,0,1\n", "item 1 has no answer"),
        ("item,worker,label\n0,0,s3cret\n", "declare the names"),
        ('item,worker,label\n0,0,"1\n', "cannot be read as a table"),
        ("item,worker,label\n0,0," + "1" * 200_000 + "\n", "cannot be read as a table"),
    ],
)
def test_tables_that_are_no_answers_are_refused_and_not_quoted(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        Crowd.read(tmp_path / "a.csv")
    assert "s3cret" not in str(caught.value)


def test_tables_with_gaps_are_read_where_that_is_asked_for(tmp_path):
    (tmp_path / "a.csv").write_text("item,worker,label\n7,0,0\n5,0,1\n\n")
    assert Crowd.read(tmp_path / "a.csv", drop_unanswered=True).dense().tolist() == [[1], [0]]


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"item,worker,label\n0,0,\xff\n")
    with pytest.raises(ValueError, match="utf-8"):
        Crowd.read(tmp_path / "a.csv")
    (tmp_path / "b.xlsx").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"\.csv, \.tsv or \.npz"):
        Crowd.read(tmp_path / "b.xlsx")


def test_archives_of_triplets_and_of_tables_are_read(tmp_path):
    item, worker, label = (one.numpy() for one in (toy().item, toy().worker, toy().label))
    np.savez(tmp_path / "a.npz", dogs_item=item, dogs_worker=worker, dogs_label=label, dogs_gold=[0, 1, 2])
    crowd = Crowd.read(tmp_path / "a.npz", part="dogs")
    assert (crowd.dense().tolist(), crowd.truth.tolist(), crowd.name) == (DENSE[:, :3].tolist(), [0, 1, 2], "dogs")
    with pytest.raises(ValueError, match="no array 'item'"):
        Crowd.read(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", answers=DENSE.numpy().astype(np.int8), inputs=np.zeros((3, 2)))
    assert torch.equal(Crowd.read(tmp_path / "b.npz").dense(), DENSE[:, :3])  # the last worker answered nothing


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"item": [0, 1], "worker": [0], "label": [1, 1]}, "each answer needs all three"),
        ({"item": [[0]], "worker": [[0]], "label": [[1]]}, r"must be \(m,\)"),
        ({"item": [0.5], "worker": [0], "label": [1]}, "fractions"),
        ({"item": [np.nan], "worker": [0], "label": [1]}, "NaN"),
        ({"item": [0], "worker": [0], "label": [0.5]}, "fractions"),
        ({"item": [0], "worker": [0], "label": [1], "truth": [1], "gold": [1]}, "both truth and gold"),
        ({"answers": [[0.0]]}, "whole numbers"),
        ({"answers": [[-2]]}, "whole numbers"),
        ({"answers": [[-1]], "truth": [0]}, "0 in answers|has no answer|answers"),
    ],
)
def test_archives_that_are_no_answers_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **{name: np.array(array) for name, array in arrays.items()})
    with pytest.raises((ValueError, TypeError), match=message):
        Crowd.read(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("part", "n", "right"), [("bluebirds", 108, 0.759), ("dogs", 807, 0.817), ("products", 8315, 0.897)]
)
def test_majority_votes_of_real_crowds_are_as_right_as_published(shared_file, part, n, right):
    crowd = Crowd.read(shared_file("data/crowd_labels.npz"), part=part)
    votes = torch.stack([(crowd.dense() == label).sum(1) for label in range(crowd.classes)], dim=1)
    assert len(crowd) == n
    assert float((votes.argmax(1) == crowd.truth).double().mean()) == pytest.approx(
        right, abs=1.01 / n + 0.0005
    )  # ties


def test_answers_of_labelme_come_back(shared_file):
    with np.load(shared_file("data/labelme_crowd/labelme_crowd.npz")) as file:
        answers, inputs, truth = file["answers"], file["x_train"], file["y_train"]
    table = torch.from_numpy(answers.astype(np.int64))
    crowd = Crowd.from_dense(
        table, "labelme", inputs=torch.from_numpy(inputs), truth=torch.from_numpy(truth.astype(np.int64))
    )
    assert (len(crowd.item), len(crowd), crowd.workers, crowd.classes) == (2547, 1000, 59, 8)
    assert torch.equal(crowd.dense(), table)
