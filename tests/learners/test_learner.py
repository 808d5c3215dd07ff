"""The contract of scikit-learn, the forms of labels and channels, and refusals."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from privkd.data import Crowd
from privkd.learners import ForwardCorrection, beta_crowd, noisy_labels, pair_channel, symmetric_channel
from privkd.losses import posterior

TRUTH = np.arange(120) % 3
X = np.random.RandomState(0).standard_normal((120, 4)).astype(np.float32) + 3 * np.eye(3, 4, dtype=np.float32)[TRUTH]
CHANNEL = symmetric_channel(3, 0.3)
NOISY = noisy_labels(TRUTH, CHANNEL, seed=0)
CROWD = beta_crowd(TRUTH, 3, annotators=5, answers_per_item=3.0, shape=(5.0, 5.0), seed=0)


def quick(**settings):
    return ForwardCorrection(**{"epochs": 2, "batch_size": 30, **settings})


def test_it_keeps_scikit_learns_contract_and_leaves_its_arguments_alone():
    model = nn.Linear(4, 3)
    before = [value.clone() for value in model.parameters()]
    learner = quick(model=model, lr=0.01)
    assert learner.fit(X, NOISY, channel=CHANNEL) is learner
    assert learner.model is model
    assert all((one == other).all() for one, other in zip(before, model.parameters(), strict=True))
    assert learner.get_params()["lr"] == 0.01
    copy = clone(learner)
    assert not hasattr(copy, "model_")
    assert copy.set_params(lr=0.5).lr == 0.5
    assert learner.n_features_in_ == 4
    assert learner.classes_.tolist() == [0, 1, 2]
    again = pickle.loads(pickle.dumps(learner))  # noqa: S301 - its own bytes
    np.testing.assert_array_equal(again.predict_proba(X), learner.predict_proba(X))
    with pytest.raises(NotFittedError):
        copy.predict(X)


def test_it_works_in_a_pipeline_and_a_search():
    pipe = make_pipeline(StandardScaler(), quick(epochs=10))
    pipe.fit(X, NOISY, forwardcorrection__channel=CHANNEL)
    assert pipe.score(X, TRUTH) > 0.8
    search = GridSearchCV(quick(), {"epochs": [1, 10]}, cv=2).fit(X, NOISY, channel=CHANNEL)
    assert search.best_params_["epochs"] in (1, 10)


def test_the_same_seed_gives_the_same_bits_and_another_one_others(tmp_path):
    first = quick().fit(X, NOISY, channel=CHANNEL).predict_proba(X)
    np.testing.assert_array_equal(first, quick(folder=tmp_path / "run").fit(X, NOISY, channel=CHANNEL).predict_proba(X))
    assert abs(first - quick(seed=1).fit(X, NOISY, channel=CHANNEL).predict_proba(X)).max() > 1e-3
    np.testing.assert_allclose(first.sum(axis=1), 1.0)


def test_correction_recovers_classes_that_plain_training_confuses():
    channel = pair_channel(3, 0.45)
    channel[0] = [0.4, 0.6, 0.0]  # most labels of class 0 are wrong
    noisy = noisy_labels(TRUTH, channel, seed=1)
    corrected = quick(epochs=25).fit(X, noisy, channel=channel).score(X, TRUTH)
    plain = quick(epochs=25).fit(X, noisy, channel=np.eye(3)).score(X, TRUTH)
    assert corrected > 0.85
    assert plain < 0.75


@pytest.mark.parametrize(
    "same",
    [
        torch.from_numpy(CHANNEL),
        CHANNEL.tolist(),
        np.tile(CHANNEL, (120, 1, 1)),
        lambda x: torch.tensor(CHANNEL, dtype=torch.float32).expand(len(x), 3, 3),
        lambda x: torch.tensor(CHANNEL, dtype=torch.float32).expand(len(x), 1, 3, 3),
    ],
    ids=["tensor", "list", "of rows", "function", "function of annotators"],
)
def test_all_forms_of_a_channel_train_the_same(same):
    plain, other = quick().fit(X, NOISY, channel=CHANNEL), quick().fit(X, NOISY, channel=same)
    np.testing.assert_allclose(other.predict_proba(X), plain.predict_proba(X), atol=1e-5)
    np.testing.assert_allclose(other.label_posterior_, plain.label_posterior_, atol=1e-5)


def test_channels_of_rows_reach_their_own_rows():
    """Every other label is shifted by one, and says so in its own channel: then nothing is lost."""
    shift = np.arange(120) % 2
    channels = np.stack([pair_channel(3, float(one)) for one in shift])
    assert quick(epochs=20).fit(X, (TRUTH + shift) % 3, channel=channels).score(X, TRUTH) > 0.9
    assert quick(epochs=20).fit(X, (TRUTH + shift) % 3, channel=channels[::-1]).score(X, TRUTH) < 0.5


def test_all_forms_of_a_crowd_train_the_same():
    table = CROWD.answers
    kind = Crowd.from_dense(torch.from_numpy(table), "crowd", class_names=("0", "1", "2"))
    by_table = quick().fit(X, table, channel=CROWD.channels)
    by_kind = quick().fit(X, kind, channel=CROWD.channels)
    by_rows = quick().fit(X, table, channel=np.tile(CROWD.channels, (120, 1, 1, 1)))
    np.testing.assert_array_equal(by_table.predict_proba(X), by_kind.predict_proba(X))
    np.testing.assert_allclose(by_table.predict_proba(X), by_rows.predict_proba(X), atol=1e-5)
    assert by_kind.classes_.tolist() == ["0", "1", "2"]
    assert set(by_kind.predict(X)) <= {"0", "1", "2"}


def test_a_crowd_without_channels_gets_them_by_dawid_and_skene():
    learner = quick(epochs=20).fit(X, CROWD.answers)
    assert learner.transition_.shape == (5, 3, 3)
    assert abs(learner.transition_ - CROWD.channels).max() < 0.35
    assert learner.score(X, TRUTH) > 0.85
    assert (learner.label_posterior_.argmax(axis=1) == TRUTH).mean() > 0.85


def test_one_hot_shares_train_like_the_labels_themselves():
    hard = quick().fit(X, NOISY, channel=CHANNEL)
    soft = quick().fit(X, np.eye(3)[NOISY], channel=CHANNEL)
    np.testing.assert_allclose(soft.predict_proba(X), hard.predict_proba(X), atol=1e-5)
    assert not hasattr(soft, "label_posterior_")


def test_the_posterior_of_training_rows_is_that_of_bayes():
    learner = quick().fit(X, NOISY, channel=CHANNEL)
    joint = learner.predict_proba(X) * CHANNEL[:, NOISY].T
    np.testing.assert_allclose(learner.label_posterior_, joint / joint.sum(axis=1, keepdims=True), atol=1e-6)
    theirs = posterior(torch.from_numpy(learner.predict_proba(X)), torch.from_numpy(NOISY), torch.from_numpy(CHANNEL))
    np.testing.assert_allclose(learner.label_posterior_, theirs, atol=1e-6)


def test_history_has_a_row_per_epoch_and_the_accuracy_of_validation_rows():
    learner = quick(epochs=5).fit(X, NOISY, channel=CHANNEL, X_val=X[:50], y_val=TRUTH[:50])
    assert [row["epoch"] for row in learner.history_] == [1, 2, 3, 4, 5]
    assert learner.history_[-1]["accuracy"] == pytest.approx(learner.score(X[:50], TRUTH[:50]))
    assert learner.history_[-1]["forward"] < learner.history_[0]["forward"]
    assert learner.n_epochs_run_ == 5


def test_labels_may_have_names_and_classes_may_be_declared():
    names = np.array(["ant", "bee", "cow"])
    learner = quick().fit(X, names[NOISY], channel=CHANNEL)
    assert learner.classes_.tolist() == ["ant", "bee", "cow"]
    other = quick(classes=["cow", "bee", "ant"]).fit(X, names[NOISY], channel=CHANNEL)
    assert other.classes_.tolist() == ["cow", "bee", "ant"]
    assert set(other.predict(X)) <= set(names)


def test_a_class_that_nobody_gave_is_warned_of():
    with pytest.warns(UserWarning, match="nobody gave class 3"):
        quick(classes=4).fit(X, NOISY, channel=symmetric_channel(4, 0.3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quick().fit(X, NOISY, channel=CHANNEL)


def test_an_annotator_without_answers_is_legal():
    table = np.column_stack([CROWD.answers, np.full(120, -1)])
    assert quick().fit(X, table).transition_.shape == (6, 3, 3)


def with_batch_norm():
    return nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))


@pytest.mark.filterwarnings("ignore:nobody gave class")
@pytest.mark.parametrize(
    ("settings", "arguments", "words"),
    [
        ({}, {"y": np.where(np.arange(120) == 7, 3, NOISY)}, r"y\[7\] is none of the 3 classes"),
        ({}, {"y": np.where(np.arange(120) == 7, -1, NOISY)}, r"y\[7\] is none of the 3 classes"),
        ({}, {"y": np.where(np.arange(120) == 7, 0.5, NOISY)}, r"y\[7\] is NaN, infinite or has a fraction"),
        ({}, {"y": np.where(np.arange(120) == 7, np.nan, NOISY)}, r"y\[7\] is NaN"),
        ({}, {"y": NOISY[:-1]}, "X has 120 rows and y has 119"),
        ({}, {"y": np.zeros(120), "channel": None}, "single class"),
        ({}, {"y": np.zeros((2, 2, 2), dtype=int)}, r"y.shape=\(2, 2, 2\)"),
        ({}, {"y": np.where(np.arange(120)[:, None] == 3, -1, CROWD.answers)}, "item 3 has no answer"),
        ({}, {"y": np.where(np.arange(120)[:, None] == 3, 5, CROWD.answers)}, "above 2"),
        ({}, {"y": np.where(np.arange(120)[:, None] == 3, -2, CROWD.answers)}, "below -1, first in row 3"),
        ({}, {"y": np.full((120, 3), 0.5)}, r"y\[0\] does not sum to 1"),
        ({}, {"y": np.full((120, 4), 0.25)}, "channel.shape"),
        ({"classes": 3}, {"y": np.full((120, 4), 0.25)}, "a column for each of the 3 classes"),
        ({}, {"channel": None}, "channel is missing"),
        ({}, {"channel": 1.1 * CHANNEL}, r"channel\[0\] sums to 1.1"),
        ({}, {"channel": CHANNEL - 0.4 * np.eye(3)[::-1] + 0.4 * np.eye(3)}, "is no probability"),
        ({}, {"channel": np.tile(CHANNEL, (5, 1, 1))}, r"channel.shape=\(5, 3, 3\) does not fit 120 rows"),
        ({}, {"channel": symmetric_channel(4, 0.1), "y": np.array(list("abc"))[NOISY]}, "does not fit 120 rows and 3 classes"),
        ({}, {"X": np.where(np.arange(120)[:, None] == 9, np.nan, X)}, r"X\[9\] has NaN"),
        ({}, {"X": X[:, 0]}, r"X.shape=\(120,\)"),
        ({}, {"trusted": (X[:3], TRUTH[:3])}, "does not use trusted"),
        ({}, {"groups": np.zeros(5)}, "does not use groups"),
        ({}, {"X_val": X[:3]}, "belong together"),
        ({}, {"X_val": X[:3], "y_val": TRUTH[:2]}, "X has 3 rows and y has 2"),
        ({}, {"X_val": X[:3], "y_val": np.eye(3)}, "y_val holds"),
        ({"model": nn.Linear(4, 4)}, {}, "with 3 classes each row needs 3 logits"),
        ({"model": with_batch_norm(), "batch_size": 1}, {}, "BatchNorm"),
        ({"epochs": 0}, {}, "epochs=0"),
        ({"batch_size": 0}, {}, "batch_size=0"),
        ({"lr": 0.0}, {}, "lr=0"),
        ({"weight_decay": -1.0}, {}, "weight_decay=-1"),
        ({"optimizer": "lion"}, {}, "optimizer='lion'"),
        ({"seed": -1}, {}, "seed=-1"),
        ({"classes": 1}, {}, "classes=1"),
    ],
)  # fmt: skip
def test_what_cannot_be_learned_from_is_refused_by_name(settings, arguments, words):
    learner = quick().set_params(**settings)
    given = {"X": X, "y": NOISY, "channel": CHANNEL, **arguments}
    with pytest.raises(ValueError, match=words):
        learner.fit(given.pop("X"), given.pop("y"), **given)
    assert not hasattr(learner, "model_")


def test_what_is_no_module_is_refused():
    with pytest.raises(TypeError, match=r"must be a torch\.nn\.Module"):
        quick().set_params(model="linear").fit(X, NOISY, channel=CHANNEL)


def test_rows_of_another_shape_are_not_predicted():
    learner = quick().fit(X, NOISY, channel=CHANNEL)
    with pytest.raises(ValueError, match="4"):
        learner.predict(X[:, :3])
