"""Teachers that were trained elsewhere: disjoint shards, and nothing in common."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from privkd import TeacherEnsemble


def one_nn():
    return KNeighborsClassifier(1)


class OwnError(BaseException):
    pass


def test_foreign_members_need_disjoint_non_empty_shards():
    models = [one_nn().fit(np.eye(2), [0, 1]) for _ in range(2)]
    with pytest.raises(ValueError, match="share an object"):
        TeacherEnsemble.from_members([models[0]] * 2, shards=[["a"], ["b"]], classes=2, input_shape=(2,))
    common = {"classes": 2, "input_shape": (2,)}
    ensemble = TeacherEnsemble.from_members(models, shards=[["a", "b"], ["c"]], **common)
    assert ensemble.manifest.records == 3
    assert not ensemble.manifest.keyed
    for shards, match in (
        ([["a", "b"], ["b"]], "overlap"),
        ([["a"], []], "empty"),
        ([["a", "a"], ["b"]], "repeat"),
        ([["a"]], "1 shards for 2 models"),
    ):
        with pytest.raises(ValueError, match=match):
            TeacherEnsemble.from_members(models, shards=shards, **common)
    with pytest.raises(ValueError, match="teachers"):
        TeacherEnsemble.from_members(models[:1], shards=[["a"]], **common)
    with pytest.raises(TypeError, match="model 0 is str"):
        TeacherEnsemble.from_members(["a", "b"], shards=[["a"], ["b"]], **common)


class Lazy(dict):
    """A part that fails as it is looked at, and says what it saw."""

    def __init__(self, seen):
        super().__init__()
        self.seen = seen

    def __getattr__(self, name):
        raise OwnError(f"saw {self.seen}")

    def values(self):
        np.seterr(all="raise")
        raise OwnError(f"saw {self.seen}")


class Attribute:
    def __getattr__(self, name):
        raise OwnError("saw it")


@pytest.mark.parametrize("make_part", [lambda: Lazy(3), Attribute])
def test_looking_for_shared_parts_tells_nothing_of_parts_that_raise(make_part):
    models = [nn.Linear(2, 2), nn.Linear(2, 2)]
    models[1].rare = make_part()
    shards = [["a"], ["b"]]
    TeacherEnsemble.from_members(models, shards=shards, classes=2, input_shape=(2,))
    assert np.geterr()["over"] == "warn"
    models[1].inner = models[0]
    with pytest.raises(ValueError, match="share an object"):
        TeacherEnsemble.from_members(models, shards=shards, classes=2, input_shape=(2,))


def test_foreign_members_share_no_fitted_part_and_no_memory():
    common = {"shards": [["a"], ["b"]], "classes": 2, "input_shape": (2,)}
    rows = np.random.default_rng(0).normal(size=(4, 2))
    scaler = StandardScaler().fit(rows)
    with pytest.raises(ValueError, match="share an object"):
        TeacherEnsemble.from_members(
            [make_pipeline(scaler, one_nn().fit(rows, [0, 1, 0, 1])) for _ in range(2)], **common
        )
    table = torch.randn(2, 2)

    class Lookup(nn.Module):
        def __init__(self, weights):
            super().__init__()
            self.register_buffer("weights", weights)

        def forward(self, x):
            return x @ self.weights

    with pytest.raises(ValueError, match="share an object or its memory"):
        TeacherEnsemble.from_members([Lookup(table), Lookup(table.t())], **common)
    assert (
        len(TeacherEnsemble.from_members([Lookup(table), Lookup(table.clone())], **common)) == 2
    )  # equal is not shared
