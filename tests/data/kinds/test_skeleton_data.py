"""Skeletons keep their frames apart from padding, through parts, folders and files."""

import numpy as np
import pytest
import torch

from privkd.data import Skeletons
from privkd.data.kinds.skeletons import GRAPHS


def toy(**change):
    joints = torch.zeros(4, 5, 3, 2)
    lengths = torch.tensor([5, 2, 3, 1])
    for row, length in enumerate(lengths.tolist()):
        joints[row, :length] = row + 1.0
    fields = {"joints": joints, "lengths": lengths, "labels": torch.tensor([0, 1, 2, 0]), "edges": ((0, 1), (1, 2))}
    return Skeletons(**{**fields, "name": "toy", "subjects": torch.tensor([0, 0, 1, 1]), **change})


def test_columns_and_parts_keep_rows_together():
    assert list(toy().columns()) == ["skeleton", "length", "label", "subject"]
    assert list(toy(labels=None, subjects=None).columns()) == ["skeleton", "length"]
    part = toy().take([2, 0])
    assert (part.joints[:, 0, 0, 0].tolist(), part.lengths.tolist(), part.classes) == ([3.0, 1.0], [3, 5], 3)


def test_no_subject_is_in_both_parts():
    one, two = toy().split(0.5, by="subject", seed=1)
    assert not set(one.subjects.tolist()) & set(two.subjects.tolist())
    assert len(one) + len(two) == 4
    with pytest.raises(ValueError, match="the subjects are not known"):
        toy(subjects=None).split(0.5, by="subject")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"joints": torch.zeros(4, 5, 3, 4)}, "2 or 3"),
        ({"joints": torch.zeros(4, 0, 3, 2)}, "must be"),
        ({"joints": torch.full((4, 5, 3, 2), np.nan)}, "NaN or infinite values, first in row 0"),
        ({"joints": torch.ones(4, 5, 3, 2)}, "must be zero; they are not in row 1"),
        ({"lengths": torch.tensor([5, 0, 3, 1])}, r"outside 1..5, first in row 1"),
        ({"lengths": torch.tensor([5, 2, 6, 1])}, r"outside 1..5, first in row 2"),
        ({"lengths": torch.tensor([5, 2, 3])}, r"lengths.shape=\(3,\)"),
        ({"labels": torch.tensor([0, 1, -1, 0])}, "below 0, first in row 2"),
        ({"subjects": torch.tensor([0, 1, 1])}, "subjects.shape"),
        ({"edges": ((0, 3),)}, "two different joints of 0..2"),
        ({"edges": ((1, 1),)}, "two different joints"),
        ({"edges": ((0, 1), (1, 0))}, "one bone twice"),
        ({"class_names": ("a", "b")}, "above 1, the last of class_names, first in row 2"),
    ],
)
def test_impossible_skeletons_are_refused_by_their_row(change, message):
    with pytest.raises(ValueError, match=message):
        toy(**change)


def test_a_saved_folder_gives_the_same_skeletons(tmp_path):
    for number, data in enumerate((toy(class_names=("a", "b", "c")), toy(labels=None, subjects=None, edges=()))):
        data.save(tmp_path / str(number))
        again = Skeletons.read(tmp_path / str(number))
        assert (again.edges, again.class_names, again.name) == (data.edges, data.class_names, "toy")
        assert all(torch.equal(column, again.columns()[name]) for name, column in data.columns().items())


def archive(path, **change):
    arrays = {
        "joints": np.arange(36.0, dtype=np.float32).reshape(6, 3, 2),
        "offsets": np.array([0, 2, 6]),
        "action": [1, 0],
    }
    arrays = {name: array for name, array in (arrays | change).items() if array is not None}
    np.savez(path, **{name: np.array(array) for name, array in arrays.items()})
    return path


def test_concatenated_sequences_are_padded(tmp_path):
    data = Skeletons.read(archive(tmp_path / "a.npz", action_names=["sit", "run"], subject=[4, 7]), edges=[[0, 1]])
    assert (data.joints.shape, data.lengths.tolist(), data.class_names) == ((2, 4, 3, 2), [2, 4], ("sit", "run"))
    assert data.joints[0, :2].flatten().tolist() == list(range(12))
    assert not data.joints[0, 2:].any()
    assert (data.edges, data.subjects.tolist()) == (((0, 1),), [4, 7])


def test_padded_sequences_and_edges_of_the_file_are_read(tmp_path):
    changes = {
        "joints": toy().joints.numpy(),
        "lengths": [5, 2, 3, 1],
        "offsets": None,
        "action": None,
        "labels": [0, 1, 2, 0],
    }
    data = Skeletons.read(archive(tmp_path / "a.npz", **changes, edges=[[0, 1], [1, 2]]))
    assert torch.equal(data.joints, toy().joints)
    assert (data.edges, data.labels.tolist()) == (toy().edges, [0, 1, 2, 0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offsets": [0, 2, 7]}, "must grow from 0 to the 6 frames"),
        ({"offsets": [1, 2, 6]}, "must grow from 0"),
        ({"offsets": [0, 2, 2, 6], "action": [0, 0, 1]}, "sequence 1 has none"),
        ({"offsets": [0, 4, 2, 6], "action": [0, 0, 1]}, "sequence 1 has none"),
        ({"offsets": [0, 2.5, 6]}, "fractions"),
        ({"offsets": [6]}, r"\(n \+ 1,\)"),
        ({"offsets": None}, "no array 'lengths'"),
        ({"joints": np.zeros((6, 3, 2), np.int64)}, "positions are floats"),
        ({"joints": np.full((6, 3, 2), np.inf)}, "NaN or infinite"),
        ({"joints": np.zeros((6, 6))}, "must be"),
        ({"action": [0]}, r"labels.shape=\(1,\)"),
        ({"labels": [0, 1]}, "both labels and action"),
        ({"edges": [[0.5, 1]]}, "must be whole numbers"),
        ({"edges": [0, 1]}, "must be whole numbers"),
    ],
)
def test_archives_that_are_no_skeletons_are_refused(tmp_path, change, message):
    with pytest.raises((ValueError, TypeError), match=message):
        Skeletons.read(archive(tmp_path / "a.npz", **change))


def test_one_long_sequence_among_many_short_ones_may_not_fill_the_memory(tmp_path):
    ends = [*range(20_001), 40_000]
    path = archive(tmp_path / "a.npz", joints=np.zeros((40_000, 20, 3), np.float32), offsets=ends, action=None)
    with pytest.raises(ValueError, match="would unfold"):
        Skeletons.read(path)


def test_unknown_bodies_and_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="known: jhmdb-15, kinect-20, msr-action3d"):
        Skeletons.read(archive(tmp_path / "a.npz"), edges="octopus")
    with pytest.raises(FileNotFoundError):
        Skeletons.read(tmp_path / "absent.npz")
    (tmp_path / "b.csv").write_text("")
    with pytest.raises(ValueError, match=r"no \.npz archive"):
        Skeletons.read(tmp_path / "b.csv")


@pytest.mark.parametrize(("body", "joints"), [("kinect-20", 20), ("msr-action3d", 20), ("jhmdb-15", 15)])
def test_every_known_body_is_a_tree(body, joints):
    reached, edges = {0}, set(GRAPHS[body])
    while grown := {edge for edge in edges if set(edge) & reached}:
        reached |= {joint for edge in grown for joint in edge}
        edges -= grown
    assert reached == set(range(joints))
    assert len(GRAPHS[body]) == joints - 1


@pytest.mark.parametrize(
    ("file", "body", "n", "classes"),
    [("msraction3d", "msr-action3d", 567, 20), ("utkinect", "kinect-20", 199, 10), ("jhmdb", "jhmdb-15", 609, 14)],
)
def test_bones_of_real_bodies_are_shorter_than_pairs_of_joints_at_random(shared_file, file, body, n, classes):
    data = Skeletons.read(shared_file(f"data/skeleton_{file}.npz"), edges=body)
    assert (len(data), data.classes) == (n, classes)
    first = data.joints[:, 0]
    between = torch.cdist(first, first).mean(0)
    bones = between[tuple(torch.tensor(data.edges).T)].mean()
    assert bones < 0.6 * between[~torch.eye(len(between), dtype=torch.bool)].mean()
