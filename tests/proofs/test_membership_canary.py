"""Proof: a mislabelled canary cannot be found in released students more often than epsilon allows.

256 releases with and without one changed record (whose teacher is retrained; the others are the same, bit for bit). The
attacker sees the whole release (the noisy table, from which the student follows) and uses the best threshold on the most
revealing statistic, chosen on the first half. With the noise forgotten the same attack proves the claim false.
"""

import math

import numpy as np
import pytest
import torch
from scipy.stats import beta
from sklearn.neighbors import KNeighborsClassifier

import privkd
from accountants import Ledger, gaussian_mu
from privkd.mechanisms import CellHistogram, VoteHistogram
from privkd.mechanisms.noise import SystemNoise
from privkd.mechanisms.private_value import Private
from privkd.transcription.public_geometry import PublicGeometry

pytestmark = pytest.mark.proof

RUNS, EPSILON, DELTA = 256, 1.0, 1e-4


def proven_epsilon(scores_in, scores_out):
    """Clopper-Pearson 99.9 % lower bound on epsilon of a threshold chosen on the first half of the runs."""
    half = len(scores_in) // 2
    best = max(
        np.unique(np.concatenate([scores_in[:half], scores_out[:half]])),
        key=lambda t: (scores_in[:half] >= t).mean() - (scores_out[:half] >= t).mean(),
    )
    n = len(scores_in) - half
    hits, alarms = int((scores_in[half:] >= best).sum()), int((scores_out[half:] >= best).sum())
    lowest = beta.ppf(5e-4, hits, n - hits + 1) if hits else 0.0
    highest = beta.ppf(1 - 5e-4, alarms + 1, n - alarms) if alarms < n else 1.0
    return max(0.0, math.log(max(lowest - DELTA, 1e-300) / highest))


def releases(mechanism, table, **kwargs):
    def once():
        account = Ledger(adjacency="replace-one", epsilon=None, delta=DELTA)
        return mechanism.release(table, ledger=account, noise=SystemNoise(), **kwargs)

    return torch.stack([once() for _ in range(RUNS)])


def test_a_canary_among_the_records_of_an_ensemble_is_protected(protocol):
    """The canary's whole teacher is retrained; votes on 20 clusters, 256 releases each way."""
    data = protocol.split(0)
    inputs, labels = data.private.inputs, data.private.labels.clone()
    key, canary = bytes(range(32)), 5
    queries = torch.cat([data.public.inputs, inputs[canary][None].repeat(40, 1)])  # the attacker asks about the canary
    clusters = PublicGeometry.of(queries).clusters(20, seed=0)

    def votes(y):
        ensemble = privkd.TeacherEnsemble.fit(
            lambda: KNeighborsClassifier(1), inputs, y, teachers=100, key=key, classes=10
        )
        return ensemble.votes(queries, clusters.assignment)

    before = votes(labels)
    labels[canary] = (labels[canary] + 1) % 10
    after = votes(labels)
    difference = after.unsafe_value() - before.unsafe_value()
    assert 0 < difference.norm() <= math.sqrt(2 * 20)

    def attacked(sigma):
        mechanism = VoteHistogram(sigma)
        a, b = (releases(mechanism, table, teachers=100) for table in (after, before))
        return proven_epsilon(*[(x * difference).sum(dim=(1, 2)).numpy() for x in (a, b)])

    sigma = math.sqrt(2 * len(clusters)) / gaussian_mu(EPSILON, DELTA)
    assert attacked(sigma) <= EPSILON
    assert attacked(sigma / 1000) > EPSILON


def test_a_canary_counted_in_cells_is_protected(protocol):
    data = protocol.split(0)
    geometry = PublicGeometry.of(data.public.inputs)
    cells = geometry.clusters(40, seed=0)
    where = cells.nearest(geometry.of_others(data.private.inputs))
    labels = data.private.labels.clone()
    changed = labels.clone()
    changed[5] = (changed[5] + 1) % 10
    spot = int(where[5]), int(changed[5])

    def attacked(sigma):
        found = []
        for y in (changed, labels):
            mechanism, table = CellHistogram(sigma), []
            for _ in range(RUNS):
                account = Ledger(adjacency="replace-one")
                boxed = Private(where, origin="cells"), Private(y, origin="labels")
                released = mechanism.release(*boxed, shape=(len(cells), 10), ledger=account, noise=SystemNoise())
                table.append(float(released[spot] - released[spot[0], int(labels[5])]))
            found.append(np.array(table))
        return proven_epsilon(*found)

    sigma = math.sqrt(2) / gaussian_mu(EPSILON, DELTA)
    assert attacked(sigma) <= EPSILON
    assert attacked(sigma / 30) > EPSILON
