"""An ensemble trained by a Dask cluster: the teachers of one process, also when a worker dies, and nothing in its logs."""

import logging
import os
import signal
import sys
import time
import warnings
import zlib

import pytest
import torch
from joblib import Parallel, delayed, parallel_config
from sklearn.tree import DecisionTreeClassifier
from torch import nn

from privkd import TeacherEnsemble
from privkd.data import digits

distributed = pytest.importorskip("distributed")

KEY = bytes(range(32))
HOME = os.getpid()


@pytest.fixture(scope="module")
def data():
    return digits(seed=0).private.take(range(400))


@pytest.fixture(scope="module")
def cluster():
    """Two workers, each a process with one thread."""
    settings = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**settings) as cluster, distributed.Client(cluster) as client:
        yield client


def fit(make_model, data, **settings):
    return TeacherEnsemble.fit(make_model, data.inputs, data.labels, key=KEY, classes=10, **settings)


def same(one, other, data):
    votes, others = (ensemble.votes(data.inputs).unsafe_value() for ensemble in (one, other))
    return one.manifest == other.manifest and torch.equal(votes, others) and not other.failures.unsafe_value().any()


def test_a_cluster_gives_the_shards_and_votes_of_one_process(cluster, data):
    settings = {"teachers": 4, "steps": 10}
    here = fit(lambda: nn.Linear(64, 10), data, **settings)
    with parallel_config(backend="dask"):
        there = fit(lambda: nn.Linear(64, 10), data, **settings)
    assert same(here, there, data)


def test_the_workers_of_a_cluster_log_nothing_of_a_teacher(cluster, data, capfd):
    """What it says, raises, and does through joblib itself stays in the guarded block of its own process."""

    def loud():
        def say(pid):
            sys.stdout.write("secret\n")
            warnings.warn("secret", stacklevel=1)
            logging.getLogger("distributed.worker").error("secret")
            return pid == os.getpid()

        class Loud(DecisionTreeClassifier):
            def fit(self, x, y):
                self.alone = all(Parallel(n_jobs=2)(delayed(say)(os.getpid()) for _ in range(4)))
                if os.getpid() != HOME and len(x) % 2:
                    raise RuntimeError(f"secret {x[0]}")
                return super().fit(x, y)

        return Loud()

    with parallel_config(backend="dask"):
        there = fit(loud, data, teachers=8)
    assert 0 < there.failures.unsafe_value().sum() < 8
    assert all(model.alone for model in there.models)
    logs = [*cluster.get_worker_logs().values(), cluster.get_scheduler_logs()]
    assert not any("secret" in line for lines in logs for _, line in lines)
    captured = capfd.readouterr()
    assert "secret" not in captured.out + captured.err


def test_a_worker_that_is_killed_loses_nothing(cluster, data, tmp_path):
    """Its shards are trained again, and those that were done stay done."""

    def fragile():
        class Fragile(DecisionTreeClassifier):
            def fit(self, x, y):
                if os.getpid() != HOME:
                    (tmp_path / f"{os.getpid()}-{zlib.crc32(x.tobytes())}").touch()
                    if len(os.listdir(tmp_path)) == 5:
                        os.kill(os.getpid(), signal.SIGKILL)
                    time.sleep(0.25)  # so that joblib sends shards one by one
                return super().fit(x, y)

        return Fragile()

    with parallel_config(backend="dask"):
        there = fit(fragile, data, teachers=12)
    assert same(fit(fragile, data, teachers=12), there, data)
    trained = os.listdir(tmp_path)
    assert len({name.split("-")[1] for name in trained}) == 12
    assert 12 < len(trained) <= 12 + 4  # what the dead worker held, at most: two done, two sent ahead
