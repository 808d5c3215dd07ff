"""Settings of the process that a teacher changes and does not put back reach neither other teachers nor the student."""

import contextlib
import decimal
import locale
import logging
import math
import os
import random
import signal
import sys
import time

import numpy as np
import pytest
import sklearn
import threadpoolctl
import torch
from scipy import special
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from privkd import InputSpec, TeacherEnsemble
from privkd.teachers import BareTeacher, isolation
from privkd.teachers.global_state import restored
from privkd.teachers.isolation import isolated


def _handler(number, frame):
    pass


def _another_locale():
    locale.setlocale(locale.LC_ALL, "C.UTF-8" if locale.setlocale(locale.LC_ALL) == "C" else "C")


CHANGES = {
    "numpy errors": (lambda: np.seterr(all="raise"), np.geterr),
    "numpy error call": (lambda: np.seterrcall(_handler), np.geterrcall),
    "numpy printing": (lambda: np.set_printoptions(precision=2), np.get_printoptions),
    "scipy errors": (lambda: special.seterr(all="raise"), special.geterr),
    "scikit-learn": (lambda: sklearn.set_config(transform_output="pandas"), sklearn.get_config),
    "decimal": (lambda: setattr(decimal.getcontext(), "prec", 3), lambda: decimal.getcontext().prec),
    "default dtype": (lambda: torch.set_default_dtype(torch.float64), torch.get_default_dtype),
    "default device": (lambda: torch.set_default_device("meta"), torch.get_default_device),
    "threads of torch": (lambda: torch.set_num_threads(torch.get_num_threads() + 1), torch.get_num_threads),
    "threads of BLAS": (
        lambda: threadpoolctl.threadpool_limits(3),
        lambda: [pool["num_threads"] for pool in threadpoolctl.threadpool_info()],
    ),
    "gradients": (lambda: torch.set_grad_enabled(False), torch.is_grad_enabled),
    "determinism": (lambda: torch.use_deterministic_algorithms(True), torch.are_deterministic_algorithms_enabled),
    "warned determinism": (
        lambda: torch.use_deterministic_algorithms(True, warn_only=True),
        torch.is_deterministic_algorithms_warn_only_enabled,
    ),
    "fill": (
        lambda: setattr(torch.utils.deterministic, "fill_uninitialized_memory", False),
        lambda: torch.utils.deterministic.fill_uninitialized_memory,
    ),
    "anomaly mode": (lambda: torch.autograd.set_detect_anomaly(True), torch.is_anomaly_enabled),
    "matmul precision": (lambda: torch.set_float32_matmul_precision("medium"), torch.get_float32_matmul_precision),
    "cudnn": (
        lambda: setattr(torch.backends.cudnn, "benchmark", True),
        lambda: torch.backends.cudnn.benchmark,
    ),
    "mkldnn": (lambda: setattr(torch.backends.mkldnn, "enabled", False), lambda: torch.backends.mkldnn.enabled),
    "autocast": (lambda: torch.set_autocast_enabled("cpu", True), lambda: torch.is_autocast_enabled("cpu")),
    "denormals": (lambda: torch.set_flush_denormal(True), lambda: np.float64(1e-300) * np.float64(1e-10) == 0),
    "recursion": (lambda: sys.setrecursionlimit(4321), sys.getrecursionlimit),
    "working directory": (lambda: os.chdir("/"), os.getcwd),
    "environment": (lambda: os.environ.update(PRIVKD_SEEN="1"), lambda: os.environ.get("PRIVKD_SEEN")),
    "environment, removed": (lambda: os.environ.pop("PATH"), lambda: os.environ.get("PATH")),
    "locale": (_another_locale, lambda: locale.setlocale(locale.LC_ALL)),
    "import path": (lambda: sys.path.append("seen"), lambda: list(sys.path)),
    "import path, replaced": (lambda: setattr(sys, "path", ["seen"]), lambda: list(sys.path)),
    "root logger": (lambda: logging.getLogger().setLevel(1), lambda: logging.getLogger().level),
    "log of privkd": (lambda: setattr(logging.getLogger("privkd"), "disabled", True), lambda: _privkd().disabled),
    "handlers": (lambda: logging.getLogger().addHandler(logging.NullHandler()), lambda: list(logging.root.handlers)),
    "all logs": (lambda: logging.disable(17), lambda: logging.root.manager.disable),
    "signals": (lambda: signal.signal(signal.SIGUSR1, _handler), lambda: signal.getsignal(signal.SIGUSR1)),
}


def _privkd():
    return logging.getLogger("privkd")


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_failing_block_set_is_put_back(name):
    change, read = CHANGES[name]
    before = read()

    @restored()
    def fails():
        change()
        assert read() != before, "the change shows, so the check below can fail"
        raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert read() == before


def test_options_of_pandas_are_put_back_whether_or_not_it_was_imported_before(monkeypatch):
    pandas = pytest.importorskip("pandas")
    for known in (True, False):
        before = pandas.get_option("display.precision"), pandas.get_option("mode.sim_interactive")
        with monkeypatch.context() as patch:
            if not known:
                patch.delitem(sys.modules, "pandas")
            with restored():
                sys.modules["pandas"] = pandas
                pandas.set_option("display.precision", 2)
                pandas.set_option("mode.sim_interactive", True)
        assert (pandas.get_option("display.precision"), pandas.get_option("mode.sim_interactive")) == before


def test_one_setting_that_cannot_be_put_back_costs_no_other(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    with restored():
        gone.rmdir()
        os.chdir("/")
        np.seterr(all="raise")
        np.seterrcall(_handler)
        logging.disable(17)
    assert np.geterr()["over"] == "warn"
    assert np.geterrcall() is None
    assert logging.root.manager.disable == 0
    assert os.getcwd() == "/"


def test_a_block_under_the_callers_own_settings_keeps_them():
    context = decimal.getcontext()
    with np.errstate(over="raise"), torch.inference_mode(), torch.device("meta"):
        with isolated(0):
            assert torch.is_grad_enabled()
            assert np.geterr()["over"] == "raise"
        assert torch.is_inference_mode_enabled()
        assert not torch.is_grad_enabled()
        assert torch.empty(1).is_meta
    assert not torch.empty(1).is_meta
    assert decimal.getcontext() is context


def test_a_block_costs_as_much_as_a_few_looks_at_the_states_of_random_generators():
    def seconds(call):
        begun = time.perf_counter()
        call()
        return time.perf_counter() - begun

    def block():
        with restored():
            pass

    def looks():
        for _ in range(10):
            random.getstate(), np.random.get_state(), torch.get_rng_state()

    assert min(seconds(block) for _ in range(30)) < 10 * min(seconds(looks) for _ in range(30))


class HalfWay(KNeighborsClassifier):
    """Makes numpy strict for a while; a record far away makes it fail before numpy is as before."""

    def fit(self, x, y):
        np.exp(-x * 1e3)  # underflows for everybody
        old = np.seterr(over="raise", under="raise")
        np.exp(np.where(x > 5, 1e6, 0.0))  # overflows for a record far away
        np.seterr(**old)
        return super().fit(x, y)


def _changed_members():
    draw = np.random.default_rng(0)
    x, y = draw.random((200, 3)).astype(np.float32) + 1, draw.integers(0, 2, 200)
    far = x.copy()
    far[0] = 9.0
    queries = torch.rand(50, 3, generator=torch.Generator().manual_seed(1)) + 1
    one, other = (
        TeacherEnsemble.fit(lambda: HalfWay(1), inputs, y, teachers=20, classes=2, key=b"k" * 16) for inputs in (x, far)
    )
    votes = [ensemble.votes(queries).unsafe_value() for ensemble in (one, other)]
    differ = [
        not torch.equal(a.predict(queries), b.predict(queries))
        for a, b in zip(one._members, other._members, strict=True)
    ]
    return sum(differ), float((votes[0] - votes[1]).norm(dim=1).max())


def test_a_record_that_makes_its_teacher_fail_half_way_changes_one_vote():
    members, moved = _changed_members()
    assert members == 1
    assert 0 < moved <= math.sqrt(2) + 1e-12


def test_without_settings_put_back_that_record_would_change_many_votes(monkeypatch):
    monkeypatch.setattr(isolation, "restored", contextlib.nullcontext)
    with np.errstate():
        members, moved = _changed_members()
    assert members > 1
    assert moved > math.sqrt(2)


class StrictFrom(nn.Module):
    """Fails half-way with some inputs, and uses numpy for all."""

    def forward(self, x):
        if bool((x > 5).any()):
            np.seterr(all="raise")
            raise ValueError
        np.exp(np.array([-1e4]))
        return torch.stack([x[:, 0], x[:, 1]], dim=1)


def test_an_input_that_a_module_fails_with_changes_no_other_answer():
    teacher = BareTeacher(StrictFrom(), InputSpec((2,)), classes=2, batch_size=1)
    plain, odd = torch.tensor([[0.0, 1.0]] * 4), torch.tensor([[0.0, 1.0]] * 4)
    odd[1] = 9.0
    assert teacher.answers(plain).unsafe_value().tolist() == [1, 1, 1, 1]
    assert teacher.answers(odd).unsafe_value().tolist() == [1, 0, 1, 1]
    assert np.geterr()["over"] == "warn"
