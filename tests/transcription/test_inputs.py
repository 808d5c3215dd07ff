"""What users have goes in as it is: one rule for uint8 at every door, names of classes to the very end, ranges that fit."""

import warnings
from dataclasses import replace

import numpy as np
import pandas
import pytest
import torch
from sklearn.naive_bayes import GaussianNB

import privkd
from accountants import Ledger
from privkd import InputSpec, TeacherEnsemble
from privkd.data import Records, load
from privkd.errors import InputRangeWarning
from privkd.networks import VectorNetwork
from privkd.transcription import choice
from privkd.transcription.arguments import checked_queries, checked_records

KEY = b"k" * 16


def fit(inputs, labels, **settings) -> TeacherEnsemble:
    chosen = {"teachers": 10, "key": KEY, **settings}
    return TeacherEnsemble.fit(lambda: GaussianNB(var_smoothing=0.1), inputs, labels, **chosen)


def votes(ensemble, queries) -> list:
    return ensemble.votes(torch.as_tensor(queries)).unsafe_value().tolist()


class Asked(Exception):
    """Everything was checked, and the method would begin now."""


@pytest.fixture
def range_warnings(monkeypatch):
    """What a call of `transcribe` warns about before its method begins: range warnings only."""

    def stop(request):
        raise Asked

    monkeypatch.setattr(choice, "METHODS", tuple(replace(method, run=stop) for method in choice.METHODS))

    def find(teacher, **settings) -> list[str]:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            with pytest.raises(Asked):
                privkd.transcribe(teacher, 5.0, seed=0, **settings)
        return [str(one.message) for one in said if issubclass(one.category, InputRangeWarning)]

    return find


@pytest.fixture(scope="module")
def grey(data):
    """Digits as grey levels 0..255, uint8."""
    return {
        "inputs": (data.private.inputs * 255).round().to(torch.uint8),
        "labels": data.private.labels,
        "queries": (data.public.inputs * 255).round().to(torch.uint8),
    }


def test_uint8_is_scaled_alike_in_fit_and_votes_and_queries_and_records(grey):
    scaled = grey["inputs"].float() / 255
    bytes_in = fit(grey["inputs"].numpy(), grey["labels"], classes=10)
    floats_in = fit(scaled, grey["labels"], classes=10)
    queries = grey["queries"][:50]
    assert votes(bytes_in, queries.float() / 255) == votes(floats_in, queries.float() / 255)
    assert votes(bytes_in, queries) == votes(floats_in, queries.float() / 255)
    assert torch.equal(checked_queries(queries)[0], queries.float() / 255)
    inputs, _ = checked_records((grey["inputs"], grey["labels"]), shape=(64,), classes=10)
    assert torch.equal(inputs.unsafe_value(), scaled)


def test_other_dtypes_keep_their_values_at_every_door(grey):
    levels = grey["queries"][:5].to(torch.int16)
    assert torch.equal(checked_queries(levels)[0], levels.float())
    assert torch.equal(checked_queries(levels.numpy())[0], levels.float())
    assert torch.equal(checked_queries(levels.tolist())[0], levels.float())
    inputs, _ = checked_records((levels, [0, 1, 2, 3, 4]), shape=(64,), classes=10)
    assert torch.equal(inputs.unsafe_value(), levels.float())


@pytest.mark.parametrize(
    "same",
    [
        lambda x: x.double().numpy(),
        lambda x: x.to(torch.bfloat16).float().to(torch.bfloat16),
        lambda x: pandas.DataFrame(x.numpy()),
        lambda x: x.numpy()[::-1][::-1],
        lambda x: x.numpy().astype(object),
        lambda x: x.reshape(-1, 1, 8, 8).flatten(1),
    ],
)
def test_queries_of_every_kind_are_the_same_queries(same, data):
    few = data.public.inputs[:20]
    assert torch.equal(checked_queries(same(few))[0], few)


def test_queries_are_the_librarys_own_copy(data):
    mine = data.public.inputs.clone()
    held, _ = checked_queries(mine)
    mine.zero_()
    assert torch.equal(held, data.public.inputs)


def test_images_without_a_channel_are_images_at_every_door(data):
    flat = data.private.inputs[:100].reshape(-1, 8, 8)
    ensemble = fit(flat, data.private.labels[:100], classes=10, teachers=2)
    assert ensemble.input_shape == (1, 8, 8)
    assert checked_queries(flat)[0].shape == (100, 1, 8, 8)


def test_a_number_of_queries_may_be_a_numpy_number():
    assert checked_queries(np.int64(7)) == checked_queries(np.array(7)) == (None, 7)


@pytest.mark.parametrize(
    ("labels", "classes", "known"),
    [
        (lambda y: [("even", "odd")[int(i) % 2] for i in y], ["odd", "even"], ("odd", "even")),
        (lambda y: pandas.Series(y.numpy() % 2 == 1), None, (False, True)),
        (lambda y: y.numpy() % 2 * 10 + 10, [10, 20], (10, 20)),
        (lambda y: (y % 2).double(), 2, None),
        (lambda y: (y % 2)[:, None], 2, None),
    ],
)
def test_labels_of_every_kind_train_teachers_and_keep_their_names(labels, classes, known, data):
    ensemble = fit(data.private.inputs, labels(data.private.labels), classes=classes)
    assert ensemble.labels == known
    assert ensemble.classes == 2
    assert ensemble.manifest.declared_classes


def test_teachers_from_elsewhere_may_have_names(data):
    parts = [data.private.take(range(start, 1100, 2)) for start in (0, 1)]
    models = [GaussianNB(var_smoothing=0.1).fit(part.inputs, part.labels) for part in parts]
    settings = {"shards": [range(0, 1100, 2), range(1, 1100, 2)], "input_shape": (64,)}
    assert TeacherEnsemble.from_members(models, classes=list("abcdefghij"), **settings).labels == tuple("abcdefghij")
    assert TeacherEnsemble.from_members(models, classes=10, **settings).labels is None
    with pytest.raises(ValueError, match="classes=1"):
        TeacherEnsemble.from_members(models, classes=1, **settings)


def test_names_travel_from_fit_to_the_answers_of_a_loaded_student(data, tmp_path):
    names = [f"digit {number}" for number in range(10)][::-1]
    labels = np.array([f"digit {int(number)}" for number in data.private.labels])
    ensemble = fit(pandas.DataFrame(data.private.inputs.numpy()), pandas.Series(labels), classes=names)
    made = privkd.transcribe(ensemble, 20.0, queries=pandas.DataFrame(data.public.inputs.numpy()), seed=0)
    truth = np.array([f"digit {int(number)}" for number in data.test.labels])
    rows = pandas.DataFrame(data.test.inputs.numpy())
    assert (made.student.predict(rows) == truth).mean() > 0.75
    again = privkd.load(made.save(tmp_path / "release"))
    assert again.student.predict(rows).tolist() == made.student.predict(rows).tolist()
    assert again.student.labels == tuple(names)


def test_records_beside_named_teachers_are_matched_by_name(data):
    names = [str(number) for number in range(10)][::-1]
    ensemble = fit(data.private.inputs, [str(int(number)) for number in data.private.labels], classes=names)
    named = Records(data.private.inputs, data.private.labels, "digits", tuple("0123456789"))
    made = privkd.transcribe(ensemble, 20.0, queries=data.public.inputs, records=named, seed=0)
    truth = np.array([str(int(number)) for number in data.test.labels])
    assert (made.student.predict(data.test.inputs) == truth).mean() > 0.85


@pytest.mark.parametrize("names", [("a", "b", "c"), (10, -20, 300_000)])
def test_a_named_network_as_a_teacher_gives_a_student_with_its_names_also_when_loaded(names, tmp_path):
    torch.manual_seed(0)
    teacher = VectorNetwork(6, 3, labels=names)
    made = privkd.transcribe(teacher, 5.0, queries=torch.rand(40, 6), scope="synthetic-label", seed=0)
    assert set(made.student.predict(torch.rand(5, 6)).tolist()) <= set(names)
    assert privkd.load(made.save(tmp_path / "release")).student.labels == names


@pytest.fixture(scope="module")
def fitted(data) -> TeacherEnsemble:
    """Teachers on [0, 1]."""
    return fit(data.private.inputs, data.private.labels, classes=10)


@pytest.mark.parametrize("with_records", [False, True])
def test_another_scale_is_told_before_anything_is_charged_and_nothing_else_is(
    with_records, data, fitted, range_warnings
):
    records = {"records": (data.private.inputs, data.private.labels)} if with_records else {}
    queries = data.public.inputs
    [said] = range_warnings(fitted, queries=queries * 255, **records)
    assert "another scale than the private records" in said
    assert range_warnings(fitted, queries=queries, **records) == []
    assert range_warnings(fitted, queries=(queries * 255).round().to(torch.uint8), **records) == []
    assert not fitted.ledger.events


def test_a_generated_range_that_does_not_fit_the_teachers_is_told(data, range_warnings):
    large = fit(data.private.inputs * 255, data.private.labels, classes=10)
    [said] = range_warnings(large, queries=20)
    assert "generated in the range [0, 1]" in said
    assert range_warnings(large, queries=20, inputs=InputSpec((64,), 0.0, 255.0)) == []


def test_queries_outside_a_declared_range_are_refused_and_nothing_is_charged(data, fitted):
    declared = InputSpec((64,), 0.0, 1.0)
    with pytest.raises(ValueError, match=r"declared range is \[0, 1\]"):
        privkd.transcribe(fitted, 5.0, queries=data.public.inputs * 255, inputs=declared)
    assert not fitted.ledger.events


@pytest.mark.parametrize(
    ("inputs", "labels", "classes", "error", "message"),
    [
        (np.zeros((0, 3)), [], 2, ValueError, "one n >= 1"),
        (np.zeros((4, 3)), [0, 1, 0], 2, ValueError, r"\(4, 3\) and labels \(3,\)"),
        (np.zeros(4), [0, 1, 0, 1], 2, ValueError, r"inputs \(4,\)"),
        (np.full((4, 3), np.nan), [0, 1, 0, 1], 2, ValueError, "NaN.*repair those records"),
        (np.zeros((4, 3)), ["a", "b", "a", "b"], None, ValueError, "are text; declare the names"),
        (np.zeros((4, 3)), [0.1, 0.2, 0.3, 0.4], None, TypeError, "only classification"),
        (np.zeros((4, 3)), [0, 1, 0, 1], ["only"], ValueError, "1 names"),
        ("digits.npz", [0, 1], 2, TypeError, "inputs=str is not an array"),
        (pandas.DataFrame({"age": [1.0, 2.0], "city": ["Oslo", "Rome"]}), [0, 1], 2, TypeError, "column 'city'"),
    ],
)
def test_data_that_cannot_train_teachers_are_refused_with_the_cure(inputs, labels, classes, error, message):
    with pytest.raises(error, match=message) as caught:
        fit(inputs, labels, classes=classes, teachers=2)
    assert "Oslo" not in str(caught.value)


def test_no_refusal_says_which_or_how_many_private_rows_are_wrong(data):
    inputs, labels = data.private.inputs[:100].clone(), data.private.labels[:100].clone()
    inputs[37] = float("nan")
    labels[53] = 7731
    texts = []
    for call in (
        lambda: fit(inputs, data.private.labels[:100], classes=10),
        lambda: fit(data.private.inputs[:100], labels, classes=10),
        lambda: checked_records((inputs, data.private.labels[:100]), shape=(64,), classes=10),
        lambda: checked_records((data.private.inputs[:100], labels), shape=(64,), classes=10),
    ):
        with pytest.raises(ValueError, match=r"NaN|outside") as caught:
            call()
        texts.append(str(caught.value))
    assert not any(value in text for text in texts for value in ("37", "53", "7731", "1 record", "99"))


@pytest.fixture(scope="module")
def neighbours(data) -> list[Records]:
    """Even and odd digits by name, and the same but for one record of a rare class, as public data would be loaded."""
    names = np.array(["even", "odd"])[data.private.labels % 2].astype("U20")
    rare = names.copy()
    rare[0] = "a rare one"
    return [load((data.private.inputs, labels), classes="found") for labels in (names, rare)]


@pytest.mark.parametrize("classes", [3, None])
def test_private_records_with_names_that_were_found_are_refused_alike_before_anything_is_charged(
    classes, data, neighbours, tmp_path
):
    ledger = Ledger.open(tmp_path / "all.json", adjacency="replace-one", unit="training-record")
    texts = []
    for records in neighbours:
        with pytest.raises(ValueError, match="declare all names") as caught:
            privkd.transcribe(None, 1.0, records=records, queries=data.public.inputs, classes=classes, ledger=ledger)
        texts.append(str(caught.value))
    assert texts[0] == texts[1]
    assert not ledger.events


def test_one_record_of_a_rare_class_moves_one_label_where_names_are_declared(data, neighbours):
    indices = [
        checked_records(records, shape=(64,), classes=["even", "odd", "a rare one"])[1].unsafe_value()
        for records in neighbours
    ]
    assert (indices[0] != indices[1]).nonzero().flatten().tolist() == [0]
    with pytest.raises(ValueError, match="not among the 2 declared classes") as caught:
        checked_records(neighbours[1], shape=(64,), classes=["even", "odd"])
    assert "rare" not in str(caught.value)


def test_private_records_with_names_that_were_found_make_a_student_with_declared_names(data, neighbours):
    names = ["odd", "even", "a rare one"]
    made = privkd.transcribe(None, 20.0, records=neighbours[1], queries=data.public.inputs, classes=names, seed=0)
    truth = np.array(["even", "odd"])[data.test.labels % 2]
    assert made.student.labels == tuple(names)
    assert (made.student.predict(data.test.inputs) == truth).mean() > 0.8
