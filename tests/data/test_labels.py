"""Labels of every kind become indices of declared classes; a refusal names the cure and quotes no label."""

import numpy as np
import pandas
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from privkd.data import Records
from privkd.data.arrays import to_array
from privkd.data.labels import class_indices, declared_classes, named_labels


def indices(labels, classes=None):
    found, known = class_indices(to_array(labels, role="labels", text=True), classes, role="labels")
    assert found.dtype == np.int64
    return found.tolist(), known


@pytest.mark.parametrize(
    ("labels", "classes", "wanted"),
    [
        (["dog", "cat", "dog"], ["cat", "dog"], [1, 0, 1]),
        (["dog", "cat", "dog"], ["dog", "cat", "bird"], [0, 1, 0]),
        (np.array(["dog", "cat"], dtype=object), np.array(["cat", "dog"]), [1, 0]),
        (pandas.Series(["dog", "cat"], dtype="category"), ("cat", "dog"), [1, 0]),
        ([30, 10, 20], [10, 20, 30], [2, 0, 1]),
        ([-1, 1], [-1, 1], [0, 1]),
        ([30.0, 10.0], [10, 20, 30], [2, 0]),
        (torch.tensor([30, 10]), np.array([10, 20, 30]), [2, 0]),
        ([True, False], [False, True], [1, 0]),
        ([1, 0], [False, True], [1, 0]),
        ([True, False], 2, [1, 0]),
        ([1, 0, 1], ["cat", "dog"], [1, 0, 1]),
        ([[2], [0]], 3, [2, 0]),
        (torch.tensor([2.0, 0.0], dtype=torch.bfloat16), np.int64(3), [2, 0]),
        (np.array([0, 2, 1])[::-1], 3, [1, 2, 0]),
    ],
)
def test_labels_become_indices_of_the_declared_classes(labels, classes, wanted):
    found, known = indices(labels, classes)
    assert found == wanted
    assert known.declared


def test_a_number_of_classes_that_was_read_off_the_labels_is_known_as_such():
    assert indices([0, 4, 4]) == ([0, 4, 4], class_indices(np.array([4]), None, role="labels")[1])
    assert not indices([0, 4])[1].declared
    assert indices([0, 4])[1].count == 5


def test_booleans_have_two_classes_whatever_the_labels_hold():
    found, known = indices([False, False])
    assert (found, known.count, known.labels, known.declared) == ([0, 0], 2, (False, True), True)


@pytest.mark.parametrize(
    ("labels", "classes", "error", "message"),
    [
        (["secret", "b"], None, ValueError, r"are text; declare the names.*classes=\['cat', 'dog'"),
        (["secret", "b"], 2, ValueError, "are text; declare the names"),
        (["secret", "b"], ["a", "b"], ValueError, "not among the 2 declared classes"),
        (["7731", "b"], [1, 2], TypeError, "names in classes are of another kind"),
        ([7731, 1], [1, 2], ValueError, "not among the 2 declared classes"),
        ([7731, 1], 3, ValueError, r"outside 0..2.*classes=\[10, 20, 30\]"),
        ([7731, 1], ["a", "b"], ValueError, r"outside 0..1"),
        ([-7731, 1], None, ValueError, r"negative numbers; declare what they are: classes=\[-1, 1\]"),
        ([7731000, 1], None, ValueError, "look like identifiers"),
        ([0, 0], None, ValueError, "single class; declare how many"),
        ([0.5, 0.25], 2, TypeError, "fractions.*only classification.*numpy.digitize"),
        ([np.inf, 0.0], 2, ValueError, "NaN, infinite"),
        ([[0, 1], [1, 0]], 2, ValueError, "argmax"),
        ([], 2, ValueError, "empty"),
        (5, 2, ValueError, r"labels.shape=\(\) must be"),
    ],
)
def test_what_is_no_class_is_refused_with_the_cure_and_without_the_label(labels, classes, error, message):
    with pytest.raises(error, match=message) as caught:
        indices(labels, classes)
    assert "7731" not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("classes", "error", "message"),
    [
        (1, ValueError, "classes=1"),
        (2.0, TypeError, "classes=2.0 must be an integer"),
        ("cat", TypeError, "classes"),
        ({"cat", "dog"}, TypeError, "a list of their names"),
        (["cat"], ValueError, "1 names"),
        (["cat", "cat"], ValueError, "repeats"),
        (["cat", 1], TypeError, "different kinds"),
        ([0, True], TypeError, "different kinds"),
        ([0.5, 1.5], TypeError, "type float"),
        (["", "dog"], ValueError, "0 characters"),
        ([2**70, 1], ValueError, "int64"),
    ],
)
def test_declarations_that_name_no_classes_are_refused(classes, error, message):
    with pytest.raises(error, match=message):
        declared_classes(classes)


@given(st.data())
def test_a_lookup_equals_a_dictionary(data):
    names = data.draw(st.lists(st.integers(-50, 50), min_size=2, max_size=8, unique=True))
    labels = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=20))
    slow = {name: position for position, name in enumerate(names)}
    assert indices(labels, names)[0] == [slow[label] for label in labels]
    assert indices([str(label) for label in labels], [str(name) for name in names])[0] == [slow[x] for x in labels]


def test_records_that_number_the_same_names_otherwise_are_matched_by_name():
    records = Records(torch.zeros(3, 1), torch.tensor([0, 1, 0]), "zoo", ("ant", "bee"))
    assert named_labels(records, ["bee", "ant", "cat"]).tolist() == ["ant", "bee", "ant"]
    assert named_labels(records, 2).tolist() == [0, 1, 0]
    assert named_labels(records, [5, 7]).tolist() == [0, 1, 0]


def test_names_that_were_found_in_private_records_count_only_beside_declared_names():
    records = Records(torch.zeros(3, 1), torch.tensor([0, 1, 0]), "zoo", ("ant", "bee"), names_found=True)
    assert named_labels(records, ["bee", "ant", "cat"]).tolist() == ["ant", "bee", "ant"]
    for classes in (None, 2, [0, 1], [False, True]):
        with pytest.raises(ValueError, match=r"names of their classes were found.*declare all names") as caught:
            named_labels(records, classes)
        assert "bee" not in str(caught.value)
