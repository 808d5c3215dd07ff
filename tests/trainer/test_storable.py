"""Numbers and arrays of numpy can be stored, anything that would not come back is refused and named before the first step."""

import collections

import numpy as np
import pytest
import torch

from privkd.trainer import Checkpoints
from privkd.trainer.checkpoints.state_format import packed, require_storable, unpacked


def returned(value, tmp_path):
    require_storable({"value": value})
    Checkpoints(tmp_path).save(1, {"value": value})
    return Checkpoints(tmp_path).latest()[1]["value"]


ARRAYS = {
    "plain": np.arange(6.0).reshape(2, 3),
    "of columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "reversed": np.arange(6)[::-1],
    "strided": np.arange(12, dtype=np.int16)[::3],
    "of the other byte order": np.arange(6, dtype=np.dtype(np.float64).newbyteorder()),
    "empty": np.zeros((0, 3), dtype=np.float32),
    "of no dimension": np.array(7, dtype=np.uint8),
    "half": np.arange(3, dtype=np.float16),
    "unsigned": np.array([0, 2**32 - 1], dtype=np.uint32),
    "boolean": np.array([True, False]),
    "read-only": np.broadcast_to(np.float32(2.5), (2, 2)),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_come_back_as_tensors_of_equal_values(tmp_path, kind):
    array = ARRAYS[kind]
    after = returned(array, tmp_path)
    assert isinstance(after, torch.Tensor)
    assert after.numpy().dtype == array.dtype.newbyteorder("=")
    assert after.shape == array.shape
    assert (after.numpy() == array).all()


def test_an_array_is_copied_at_once():
    array, tensors = np.zeros(3), {}
    packed({"array": array}, tensors)
    array += 1
    assert not tensors["0"].any()


@pytest.mark.parametrize(
    ("number", "plain"),
    [
        (np.float64(0.1), 0.1),
        (np.float32(0.1), 0.10000000149011612),
        (np.float16("inf"), float("inf")),
        (np.int64(-(2**62)), -(2**62)),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.bool_(True), True),
        (np.str_("text"), "text"),
    ],
)
def test_numbers_of_numpy_come_back_as_plain_ones(tmp_path, number, plain):
    after = returned([number, {number: (number,)}], tmp_path)
    assert after == [plain, {plain: (plain,)}]
    assert type(after[0]) is type(plain)


def test_a_view_with_a_pending_sign_comes_back_with_it(tmp_path):
    view = torch.tensor([1 + 2j]).conj().imag
    assert view.is_neg()
    assert returned(view, tmp_path).tolist() == [-2.0]


REFUSED = {
    "sparse tensor": (lambda: torch.eye(3).to_sparse(), r"tensor of layout sparse_coo \(give \.to_dense\(\)\)"),
    "compressed tensor": (lambda: torch.eye(3).to_sparse_csr(), "tensor of layout sparse_csr"),
    "nested tensor": (lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]), "nested tensor"),
    "complex tensor": (lambda: torch.ones(2, dtype=torch.complex64), r"complex64 tensor \(give torch\.view_as_real"),
    "wide complex tensor": (lambda: torch.ones(2, dtype=torch.complex128), "complex128 tensor"),
    "tensor without values": (lambda: torch.ones(2, device="meta"), "tensor on the device meta"),
    "tensor of bits": (lambda: torch.empty(2, dtype=torch.bits8), "bits8 tensor, which safetensors does not know"),
    "complex array": (lambda: np.ones(2, dtype=np.complex64), "numpy array of dtype complex64"),
    "array of objects": (lambda: np.array([None]), "numpy array of dtype object"),
    "array of texts": (lambda: np.array(["text"]), "numpy array of dtype <U4"),
    "long double": (lambda: np.longdouble(1), "numpy number of dtype"),
    "time": (lambda: np.timedelta64(1, "ns"), "numpy number of dtype timedelta64"),
    "masked array": (lambda: np.ma.array([1, 2], mask=[0, 1]), r"masked numpy array \(give its data and its mask\)"),
    "complex number": (lambda: 1j, "a complex"),
    "set": (lambda: {1}, "a set"),
    "deque": (lambda: collections.deque([1]), "a deque"),
    "bytes": (lambda: b"1", "a bytes"),
    "function": (lambda: len, "a builtin_function_or_method"),
}


@pytest.mark.filterwarnings("ignore:.*prototype stage.*", "ignore:.*beta state.*")
@pytest.mark.parametrize("kind", REFUSED)
def test_what_would_not_come_back_is_refused_with_its_place(tmp_path, kind):
    make, told = REFUSED[kind]
    state = {"stages": [{"task": {"queue": make(), "fine": 1.0}}]}
    with pytest.raises(TypeError, match=r"state\['stages'\]\[0\]\['task'\]\['queue'\], a " + told.removeprefix("a ")):
        require_storable(state)
    with pytest.raises(TypeError, match="queue"):
        Checkpoints(tmp_path).save(1, state)
    assert Checkpoints(tmp_path).steps() == []
    del state["stages"][0]["task"]["queue"]
    require_storable(state)


def test_all_problems_are_told_at_once_but_not_hundreds():
    with pytest.raises(TypeError) as refused:
        require_storable({"first": {1}, (1, "a"): [1j], 5: ({"x": b""},)})
    assert "state['first'], a set; state[(1, 'a')][0], a complex; state[5][0]['x'], a bytes" in str(refused.value)
    with pytest.raises(TypeError, match=r"state\[4\], a set and 195 more") as refused:
        require_storable([{1}] * 200)
    assert "state[5]" not in str(refused.value)


@pytest.mark.parametrize("key", [torch.ones(1), frozenset({1}), b"key", (1, torch.ones(1))])
def test_keys_must_be_storable_and_no_tensors(key):
    with pytest.raises(TypeError, match=r"a key of state\['a'\], a (Tensor|frozenset|bytes|tuple)"):
        require_storable({"a": {key: 1}})


def test_what_was_not_packed_is_not_unpacked():
    with pytest.raises(ValueError, match="unknown kind"):
        unpacked({"pickle": "x"}, {})
    with pytest.raises(KeyError):
        unpacked({"tensor": "0"}, {})
