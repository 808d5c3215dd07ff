"""The selection of teacher features: what its sweeps promise, what it finds, and what it refuses."""

import itertools
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from privkd.recipes.distillation import robust_selection as module
from privkd.recipes.distillation.robust_selection import SelectionRule, energy, lowered, robust_selection

ROUNDING = 1e-12  # of sums of a few numbers below 10
RULE = SelectionRule()


def problem(rows, seed, weight=2.0):
    """Distances around the threshold, and disturbances of half of the pairs."""
    draw = np.random.default_rng(seed)
    one_way = np.triu(draw.uniform(0, 1, (rows, rows)) * (draw.random((rows, rows)) < 0.5), 1)
    rule = SelectionRule(neighbours=3, pair_weight=weight)
    return draw.uniform(0, 2 * rule.threshold, rows), csr_array(one_way + one_way.T), rule


def slow_energy(distances, graph, chosen, rule):
    """The formula, one row and one pair after another."""
    total, dense = 0.0, graph.toarray()
    for i in range(len(chosen)):
        if chosen[i]:
            total += distances[i] - rule.threshold
            total += sum(rule.pair_weight / rule.neighbours * dense[i, j] for j in range(i) if chosen[j])
    return total


def slow_neighbours(chosen):
    """All selections that differ in one row."""
    for row in range(len(chosen)):
        other = chosen.copy()
        other[row] = not other[row]
        yield other


@given(st.integers(1, 6), st.integers(0, 10**6), st.floats(0, 4), st.data())
def test_sweeps_end_where_no_row_should_move_and_never_raise_the_energy(rows, seed, weight, data):
    distances, graph, rule = problem(rows, seed, weight)
    start = np.array(data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows)))
    found, costs = lowered(distances, graph, start, rule)
    values = {
        bits: slow_energy(distances, graph, np.array(bits), rule)
        for bits in itertools.product([False, True], repeat=rows)
    }
    end = values[tuple(found.tolist())]
    assert energy(distances, graph, found, rule) == pytest.approx(end, abs=ROUNDING)
    assert min(values.values()) - ROUNDING <= end <= values[tuple(start.tolist())] + ROUNDING
    assert all(end <= values[tuple(other.tolist())] + ROUNDING for other in slow_neighbours(found))
    assert (found == (costs <= rule.threshold)).all()


def test_every_single_move_of_a_sweep_lowers_the_energy():
    for seed in range(20):
        distances, graph, rule = problem(8, seed)
        chosen = np.ones(8, dtype=bool)
        before = slow_energy(distances, graph, chosen, rule)
        for row in [*range(8)] * 8:  # the sweeps, by the formula alone
            other = chosen.copy()
            other[row] = not other[row]
            now = slow_energy(distances, graph, other, rule)
            if now < before - ROUNDING:
                chosen, before = other, now
        assert (lowered(distances, graph, np.ones(8, dtype=bool), rule)[0] == chosen).all()


def test_moving_all_rows_at_once_would_go_round_in_circles():
    rule = SelectionRule(neighbours=1, pair_weight=1.0)
    distances, graph = np.array([0.2, 0.2]), csr_array(np.array([[0.0, 0.5], [0.5, 0.0]]))
    chosen = np.ones(2, dtype=bool)
    seen = []
    for _ in range(4):
        chosen = distances + rule.pair_weight * (graph @ chosen.astype(float)) <= rule.threshold
        seen.append(chosen.tolist())
    assert seen == [[False, False], [True, True]] * 2
    assert lowered(distances, graph, np.ones(2, dtype=bool), rule)[0].tolist() == [False, True]


def faces(seed, *, people=8, each=20, bad=0.3, dim=16):
    """Features around one direction per person, of which some are those of nobody in particular."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.nn.functional.normalize(torch.randn(people, dim, generator=generator), dim=1)
    labels = torch.arange(people).repeat_interleave(each)
    features = centres[labels] + 0.1 * torch.randn(len(labels), dim, generator=generator)
    damaged = torch.rand(len(labels), generator=generator) < bad
    features[damaged] = torch.randn(int(damaged.sum()), dim, generator=generator)
    return features, labels, damaged


@pytest.mark.parametrize("seed", range(3))
def test_damaged_features_are_left_out_and_good_ones_kept(seed):
    features, labels, damaged = faces(seed)
    keep = robust_selection(features, labels)
    assert (keep & ~damaged).sum() / keep.sum() >= 0.98
    assert (keep & ~damaged).sum() / (~damaged).sum() >= 0.95


def test_a_selection_at_random_would_not_pass():
    features, labels, damaged = faces(0)
    keep = torch.rand(len(labels), generator=torch.Generator().manual_seed(0)) < 0.7
    assert (keep & ~damaged).sum() / keep.sum() < 0.8
    everything = robust_selection(features, labels, SelectionRule(threshold=9.0))
    assert everything.all()


def test_rows_that_could_be_two_people_are_left_out_by_the_graph_alone():
    east, north = torch.eye(2)
    between = torch.nn.functional.normalize(east + 0.95 * north, dim=0)
    features = torch.stack([east] * 5 + [between] + [north] * 5)
    labels = torch.tensor([0] * 6 + [1] * 5)
    near = {"threshold": 0.31, "similarity": 0.5, "neighbours": 5}  # `between` is 0.275 from its centre
    assert robust_selection(features, labels, SelectionRule(pair_weight=0.0, **near)).all()
    chosen = robust_selection(features, labels, SelectionRule(pair_weight=1.0, **near))
    assert chosen.tolist() == [True] * 5 + [False] + [True] * 5


def test_blocks_and_the_whole_select_the_same(monkeypatch):
    features, labels, _ = faces(3)
    whole = robust_selection(features, labels)
    monkeypatch.setattr(module, "_BLOCK", 7)
    assert torch.equal(robust_selection(features, labels), whole)


def test_a_disturbance_is_one_of_both_rows_whoever_is_the_neighbour():
    features, labels, _ = faces(3, people=20, dim=4)
    unit = torch.nn.functional.normalize(features.double(), dim=1)
    graph = module._disturbances(unit, labels, SelectionRule(neighbours=1)).toarray()
    assert (graph == graph.T).all()
    assert (graph > 0).sum(axis=1).max() > 1  # a row that is the nearest one of several others


def test_length_and_order_of_rows_do_not_matter():
    features, labels, _ = faces(4)
    keep = robust_selection(features, labels)
    lengths = 0.1 + torch.rand(len(labels), 1, generator=torch.Generator().manual_seed(0))
    assert torch.equal(robust_selection(features * lengths, labels), keep)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    assert (
        robust_selection(features[order], labels[order]) == keep[order]
    ).float().mean() >= 0.99  # sweeps have an order
    assert torch.equal(robust_selection(features, 5 * labels + 2), keep)


def test_a_class_keeps_its_cheapest_rows_and_a_tiny_one_all_with_a_warning():
    features, labels, _ = faces(5, people=3, each=10, bad=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fewest = robust_selection(features, labels, SelectionRule(threshold=0.0, pair_weight=0.0, min_per_class=4))
    assert torch.bincount(labels[fewest]).tolist() == [4, 4, 4]
    tiny = torch.cat([torch.arange(10), torch.arange(10, 12), torch.arange(20, 30)])
    with pytest.warns(UserWarning, match="1 of 3 classes have fewer than 3 rows"):
        kept = robust_selection(features[tiny], labels[tiny], SelectionRule(threshold=0.0))
    assert kept[10:12].all()


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (torch.zeros(3), torch.zeros(3, dtype=torch.int64), r"shape \(3,\).*must be \(n, d\)"),
        (torch.ones(3, 2), torch.zeros(2, dtype=torch.int64), r"\(n, d\) and \(n,\)"),
        (torch.ones(0, 2), torch.zeros(0, dtype=torch.int64), "n >= 1"),
        (torch.ones(3, 2), torch.tensor([0, 1, -1]), "take the labelled rows"),
        (torch.ones(3, 2), torch.tensor([1, 1, 1]), "at least two are needed"),
        (torch.tensor([[1.0, 0], [0, 0], [1, 1]]), torch.tensor([0, 1, 1]), "the first in row 1; check the teacher"),
        (torch.tensor([[1.0, 0], [0, 1], [torch.nan, 1]]), torch.tensor([0, 1, 1]), "1 features.*row 2"),
        (torch.tensor([[torch.inf, 0], [0, 1], [1, 1]]), torch.tensor([0, 1, 1]), "row 0"),
    ],
)
def test_what_cannot_be_selected_from_is_refused_by_its_row(features, labels, message):
    with pytest.raises(ValueError, match=message):
        robust_selection(features, labels)


@pytest.mark.parametrize(
    "settings",
    [
        {"threshold": -0.1},
        {"threshold": float("nan")},
        {"pair_weight": -1.0},
        {"similarity": 1.0},
        {"similarity": -1.1},
        {"neighbours": 0},
        {"min_per_class": 0},
        {"rounds": 0},
    ],
)
def test_a_rule_out_of_range_is_refused_by_name(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        SelectionRule(**settings)
