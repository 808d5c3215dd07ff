"""Release of a data-dependent cost: charged first, drawn once, of the stated size, disclosed, and hiding the votes."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from accountants import BudgetExceeded, GNMax, Ledger
from accountants.pate.epsilon import pate_epsilon
from accountants.pate.release import Smoothing
from privkd.mechanisms import CostRelease, SeededNoise, SystemNoise
from privkd.mechanisms.private_value import Private


def plan_of(votes, *, multiplier=6.0):
    smoothing = Smoothing(order=8.0, noise_multiplier=multiplier)
    return pate_epsilon(votes, 20.0, 1e-5, teachers=250, disclose="smooth-sensitivity", smoothing=smoothing)


PLAN = plan_of([[240, 5, 5], [200, 30, 20]] * 10)


def ledger(**kwargs):
    return Ledger(adjacency="replace-one", **kwargs)


def test_released_costs_differ_from_the_true_one_by_margin_and_noise_of_the_stated_size():
    noise, draws = SystemNoise(), 600
    plan = plan_of([[180, 40, 30]] * 10, multiplier=0.7)  # little noise, so that no draw is cut at 0 or at the ceiling
    released = np.array([CostRelease().release(plan, ledger=ledger(), noise=noise).cost for _ in range(draws)])
    std = 0.7 * plan.sensitivity.unsafe_value()
    assert plan.cost.unsafe_value() > 10 * 2.0**-24
    kept = released[(released > 0) & (released < plan.ceiling)]
    assert len(kept) == draws
    normal = (released - plan.cost.unsafe_value()) / std - plan.margin
    limit = math.sqrt(-0.5 * math.log(0.5e-6) / draws)  # Kolmogorov distance, false alarm 1e-6
    assert stats.kstest(normal, "norm").statistic < limit
    assert stats.kstest(normal + plan.margin, "norm").statistic > limit  # a missing margin is seen


def test_a_release_is_charged_once_and_its_sentence_is_disclosed():
    account = ledger()
    account.charge(GNMax(20.0) * 20, where="answers")
    before = account.epsilon(1e-5).upper
    published = CostRelease().release(PLAN, ledger=account, noise=SystemNoise())
    assert account.events[-1] == PLAN.event() == CostRelease().event(PLAN)
    assert account.disclosed == (str(published),)
    assert account.epsilon(1e-5).upper > before  # the ledger's own epsilon stays data-independent, and grows


def test_the_ledger_of_the_votes_is_charged_too():
    own, account = ledger(), ledger()
    boxed = Private(torch.tensor([[240.0, 5.0, 5.0]]), origin="votes", ledgers=[own])
    CostRelease().release(PLAN, ledger=account, noise=SystemNoise(), votes=boxed)
    assert own.events == account.events == (PLAN.event(),)


def test_a_refused_release_draws_nothing_and_a_crash_over_counts():
    class Explosive(SeededNoise):
        def words(self, count):
            raise AssertionError("noise was drawn although the ledger refused")

    account = ledger(epsilon=1e-3, delta=1e-5)
    with pytest.raises(BudgetExceeded):
        CostRelease().release(PLAN, ledger=account, noise=Explosive(0))
    assert not account.events
    open_ = ledger()
    with pytest.raises(AssertionError, match="noise was drawn"):
        CostRelease().release(PLAN, ledger=open_, noise=Explosive(0))
    assert len(open_.events) == 1


def test_a_ledger_with_the_release_can_be_saved_and_read(tmp_path):
    account = ledger(delta=1e-5)
    published = CostRelease().release(PLAN, ledger=account, noise=SystemNoise())
    account.save(tmp_path / "ledger.json")
    again = Ledger.read(tmp_path / "ledger.json")
    assert again.events == account.events
    assert again.disclosed == (str(published),)
    text = (tmp_path / "ledger.json").read_text()
    for secret in (PLAN.cost, PLAN.sensitivity):
        assert f"{secret.unsafe_value():.12g}"[:8] not in text
