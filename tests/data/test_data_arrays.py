"""Dtype, scaling and shape rules that hold for every source."""

import numpy as np
import pandas
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from privkd.data import load

IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4) * 10
LABELS = np.array([1, 0])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f8", "int8", "int64", "uint16", "bool"])
@pytest.mark.parametrize("wrap", [np.asarray, lambda array: array[::-1, ::-1][::-1, ::-1], np.asfortranarray])
def test_vectors_keep_shape_and_value_for_every_dtype_and_layout(dtype, wrap):
    vectors = np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype)
    records = load((wrap(vectors), LABELS))
    assert records.inputs.dtype == torch.float32
    assert records.labels.dtype == torch.int64
    assert records.inputs.tolist() == [[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]]
    assert records.labels.tolist() == [1, 0]


def test_reversed_views_are_read_in_their_own_order():
    assert load(np.array([[0.0, 1.0], [2.0, 3.0]])[::-1]).inputs.tolist() == [[2.0, 3.0], [0.0, 1.0]]
    assert load((np.zeros((2, 1)), np.array([5, 0, 3])[::-2])).labels.tolist() == [3, 5]


def test_bfloat16_tensors_are_read_exactly():
    assert load(torch.tensor([[0.5], [2.0]], dtype=torch.bfloat16)).inputs.tolist() == [[0.5], [2.0]]


def test_every_grey_level_is_divided_by_255():
    levels = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)
    inputs = load(levels).inputs
    slow = [np.float32(level) / np.float32(255) for level in range(256)]
    assert inputs.flatten().tolist() == slow
    assert inputs.min() == 0.0
    assert inputs.max() == 1.0


@pytest.mark.parametrize(
    "unscaled",
    [IMAGES.astype(np.float32), IMAGES.astype(np.int64), IMAGES.astype(np.int16), IMAGES.tolist()],
    ids=["float32", "int64", "int16", "list"],
)
def test_nothing_but_uint8_is_scaled(unscaled):
    assert load(unscaled).inputs.max() == 230.0


def test_uint8_of_every_shape_is_scaled():
    for shape in ((2, 12), (2, 3, 4), (2, 1, 3, 4), (2, 1, 1, 3, 4)):
        assert load(IMAGES.reshape(shape)).inputs.max() == pytest.approx(230 / 255)
        assert load(torch.tensor(IMAGES.reshape(shape))).inputs.max() == pytest.approx(230 / 255)


def test_scale_false_keeps_grey_levels():
    assert load(IMAGES, scale=False).inputs.max() == 230.0
    assert load(IMAGES).inputs.max() == pytest.approx(230 / 255)


def test_grey_images_get_a_channel_and_other_arrays_keep_their_shape():
    assert load(IMAGES).shape == (1, 3, 4)
    assert load(IMAGES.astype(float)).shape == (1, 3, 4)
    assert load(np.zeros((2, 3, 8, 9), dtype=np.uint8)).shape == (3, 8, 9)
    assert load(np.zeros((2, 8, 9, 3), dtype=np.uint8)).shape == (8, 9, 3)
    assert load(np.zeros((2, 5, 3, 8, 9))).shape == (5, 3, 8, 9)


def test_the_records_own_their_memory():
    vectors, labels = np.zeros((2, 2), dtype=np.float32), np.zeros(2, dtype=np.int64)
    tensors = torch.zeros(2, 2)
    from_numpy, from_torch = load((vectors, labels)), load(tensors)
    vectors[:], labels[:] = 5, 5
    tensors.fill_(5)
    assert from_numpy.inputs.sum() == from_torch.inputs.sum() == 0
    assert from_numpy.labels.sum() == 0


def test_read_only_arrays_load_without_a_warning(recwarn):
    vectors = np.zeros((2, 2), dtype=np.float32)
    vectors.flags.writeable = False
    load((vectors, LABELS))
    assert not recwarn.list


def test_gradients_are_dropped():
    assert not load(torch.zeros(2, 2, requires_grad=True)).inputs.requires_grad


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", ">i4", "uint64", "int64"])
@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_integer_labels_of_every_width_and_column_labels_are_read(dtype, shape):
    assert load((IMAGES, LABELS.astype(dtype).reshape(shape))).labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ([0.0, 1.5], TypeError, "float64 numbers with fractions.*numpy.digitize"),
        ([0.0, float("nan")], ValueError, "labels hold NaN"),
        (np.array([0, None]), ValueError, "missing values"),
        (["cat", None], ValueError, "missing values"),
        (np.array(["cat", 1], dtype=object), TypeError, "labels.dtype=object"),
        (np.array(["2020-01-01", "2020-01-02"], dtype="datetime64[D]"), TypeError, "datetime64"),
        ("0 1", TypeError, "labels=str is not an array"),
        ([0, -1], ValueError, "labels has negative numbers"),
        (np.array([0, 2**64 - 1], dtype=np.uint64), ValueError, "does not fit int64"),
        ([0, 2**64], ValueError, "does not fit int64"),
        ([0, 1, 1], ValueError, "2 records but labels has 3"),
        ([], ValueError, "empty"),
        ([[0, 1], [1, 0]], ValueError, "one-hot"),
        ([[0], [1, 2]], ValueError, "ragged"),
        (5, ValueError, "labels.shape="),
    ],
)
def test_labels_that_are_no_class_indices_are_refused(labels, error, message):
    with pytest.raises(error, match=message):
        load((IMAGES, labels))
    with pytest.raises(error, match=message):
        load(IMAGES, labels=labels)


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        ([[1.0, 2.0], [3.0]], ValueError, "inputs is a ragged list"),
        ([], ValueError, "empty"),
        (np.zeros((0, 3)), ValueError, r"\(0, 3\) is empty"),
        (np.zeros(3), ValueError, r"one number per record is \(n, 1\)"),
        (np.array(3.0), ValueError, r"inputs.shape=\(\)"),
        ([[0.0], [float("nan")]], ValueError, "NaN.*isfinite"),
        ([[0.0], [1e39]], ValueError, r"beyond float32 \(3.4e38\)"),
        (np.array([[2**24 + 1]]), ValueError, "integers beyond 16777216, which float32 would round"),
        (np.array([[-(2**63)]]), ValueError, "integers beyond 16777216"),
        (np.array([[1j]]), TypeError, "complex128 is not numeric"),
        (np.array([[None]]), ValueError, "missing values"),
        (np.array([["a"]]), TypeError, "<U1 is not numeric"),
        (np.array([["2020-01-01"]], dtype="datetime64[D]"), TypeError, "datetime64"),
        (np.zeros(2, dtype=[("a", "f4")]), TypeError, "is not numeric"),
        (np.ma.masked_array([[1.0]], mask=[[True]]), TypeError, "masked"),
        (np.array([[1.5, "a"]], dtype=object), TypeError, "object is not numeric"),
        (torch.zeros(2, 2, dtype=torch.complex64), TypeError, "complex64 is not numeric"),
    ],
)
def test_inputs_that_are_no_plain_numbers_are_refused(inputs, error, message):
    with pytest.raises(error, match=message):
        load(inputs)


def test_the_largest_exact_integer_is_accepted():
    assert load(np.array([[2**24], [-(2**24)]])).inputs.tolist() == [[2.0**24], [-(2.0**24)]]


@given(
    inputs=hnp.arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 4)), elements=st.floats(-9, 9, width=32)),
    data=st.data(),
)
def test_numpy_torch_and_lists_give_the_same_records(inputs, data):
    labels = data.draw(hnp.arrays(np.int64, len(inputs), elements=st.integers(0, 9)))
    expected = load((inputs, labels))
    for pair in (
        (torch.tensor(inputs), torch.tensor(labels)),
        (inputs.tolist(), labels.tolist()),
        (torch.tensor(inputs), labels),
    ):
        found = load(pair)
        assert torch.equal(found.inputs, expected.inputs)
        assert torch.equal(found.labels, expected.labels)


@pytest.mark.parametrize(
    "same",
    [
        np.array([[0.5, 2.0]], dtype=object),
        torch.tensor([[0.5, 2.0]]).to_sparse(),
        sparse.csr_matrix([[0.5, 2.0]]),
        sparse.coo_array([[0.5, 2.0]]),
        pandas.DataFrame({"a": [0.5], "b": [2.0]}),
        pandas.DataFrame({"a": [0.5], "b": [2]}, index=["row"]),
        pandas.DataFrame({"a": pandas.array([0.5], dtype="Float64"), "b": pandas.array([2], dtype="Int64")}),
        pandas.DataFrame({"a": pandas.arrays.SparseArray([0.5]), "b": [2.0]}),
    ],
    ids=["object", "sparse tensor", "csr", "coo", "frame", "mixed frame", "nullable frame", "sparse frame"],
)
def test_tables_and_sparse_matrices_are_read_like_arrays(same):
    assert load(same).inputs.tolist() == [[0.5, 2.0]]
    assert load((same, [1])).labels.tolist() == [1]


def test_every_table_that_gives_itself_as_numpy_is_read():
    class Table:
        columns = ("a", "b")

        def __getitem__(self, name):
            return pandas.Series([0.5 if name == "a" else "x"])

        def __init__(self, last):
            self.last = last

        def to_numpy(self):
            return np.array([[0.5, self.last]])

    assert load(Table(2.0)).inputs.tolist() == [[0.5, 2.0]]
    with pytest.raises(TypeError, match="not numeric"):
        load(Table("x"))


def test_a_table_of_booleans_and_floats_is_read_though_pandas_makes_objects_of_it():
    assert load(pandas.DataFrame({"a": [True, False], "b": [0.5, 2.0]})).inputs.tolist() == [[1.0, 0.5], [0.0, 2.0]]


@pytest.mark.parametrize(
    ("column", "error", "message"),
    [
        (["Oslo", "Rome"], TypeError, "inputs: column 'city' has dtype <U4, which is not numeric; encode it"),
        ([1.5, "Rome"], TypeError, "inputs: column 'city'.dtype=object is not numeric"),
        ([pandas.NA, 1], ValueError, "inputs: column 'city'.dtype=object with missing values"),
        (pandas.Categorical(["a", "b"]), TypeError, "column 'city'.*encode it"),
    ],
)
def test_the_column_of_a_table_that_is_no_number_is_named_and_its_values_are_not(column, error, message):
    with pytest.raises(error, match=message) as caught:
        load(pandas.DataFrame({"age": [31.0, 57.0], "city": column}))
    assert not any(value in str(caught.value) for value in ("Oslo", "Rome", "31", "57"))


@pytest.mark.parametrize(
    ("labels", "indices", "names"),
    [
        (["dog", "cat"], [1, 0], ("cat", "dog")),
        (np.array([["dog"], ["cat"]]), [1, 0], ("cat", "dog")),
        (np.array(["dog", "cat"], dtype=object), [1, 0], ("cat", "dog")),
        (pandas.Series(["dog", "cat"], index=[7, 3]), [1, 0], ("cat", "dog")),
        (pandas.Series(["dog", "cat"], dtype="category"), [1, 0], ("cat", "dog")),
        ([True, False], [1, 0], ("False", "True")),
        (torch.tensor([False, False]), [0, 0], ("False", "True")),
        ([1.0, 0.0], [1, 0], None),
        (torch.tensor([1.0, 0.0]), [1, 0], None),
        (pandas.Series([1, 0], dtype="Int64"), [1, 0], None),
        (pandas.DataFrame({"label": [1, 0]}), [1, 0], None),
        (pandas.DataFrame({"label": ["dog", "cat"]}), [1, 0], ("cat", "dog")),
        ([30, 10], [30, 10], None),
    ],
)
def test_labels_of_every_kind_become_indices_and_their_names_are_kept(labels, indices, names):
    records = load((IMAGES, labels), classes="found")
    assert records.labels.tolist() == indices
    assert records.class_names == names
