"""Contrastive losses against loops over keys, and the queue against a list."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from privkd.losses import FeatureQueue, info_nce, supcon


def rows(n=5, d=4, seed=0):
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def cosine(a, b):
    return float(a @ b / (a.norm() * b.norm()))


def slow_info_nce(queries, keys, tau, *, queue=(), in_batch=True, exclude=None):
    """Mean over queries; `queue` is a list of further negatives per query."""
    total = 0.0
    for i, query in enumerate(queries):
        others = [
            keys[j] for j in range(len(keys)) if in_batch and j != i and not (exclude is not None and exclude[i, j])
        ]
        others += list(queue[i]) if len(queue) else []
        own = math.exp(cosine(query, keys[i]) / tau)
        total += math.log((own + sum(math.exp(cosine(query, other) / tau) for other in others)) / own)
    return total / len(queries)


@settings(max_examples=15)
@given(
    seed=st.integers(0, 100),
    tau=st.floats(0.05, 5),
    in_batch=st.booleans(),
    form=st.sampled_from(["none", "all", "own"]),
)
def test_info_nce_agrees_with_a_loop_over_keys(seed, tau, in_batch, form):
    queries, keys, shared, own = rows(seed=seed), rows(seed=seed + 1), rows(3, 4, seed + 2), rows(10, 4, seed + 3)
    queue = {"none": None, "all": shared, "own": own.reshape(5, 2, 4)}[form]
    if not in_batch and queue is None:
        return
    slow = slow_info_nce(
        queries,
        keys,
        tau,
        queue={"none": (), "all": [shared] * 5, "own": own.reshape(5, 2, 4)}[form],
        in_batch=in_batch,
    )
    loss = info_nce(queries, keys, queue=queue, in_batch=in_batch, tau=tau)
    assert math.isclose(loss, slow, rel_tol=1e-11, abs_tol=1e-13)  # cosines, rounded at 2^-53, over tau >= 0.05


def test_excluded_keys_are_no_negatives_and_the_own_key_stays():
    queries, keys = rows(), rows(seed=1)
    exclude = torch.eye(5, dtype=torch.bool)
    exclude[0, 1] = exclude[2, 4] = True
    loss = info_nce(queries, keys, exclude=exclude)
    assert math.isclose(loss, slow_info_nce(queries, keys, 0.1, exclude=exclude), rel_tol=1e-12)
    assert loss < info_nce(queries, keys)
    everything = torch.ones(5, 5, dtype=torch.bool)
    assert info_nce(queries.requires_grad_(), keys, exclude=everything) == 0


def test_chance_costs_the_logarithm_of_the_number_of_keys():
    same = torch.ones(8, 3)
    assert math.isclose(info_nce(same, same), math.log(8), rel_tol=1e-6)
    assert math.isclose(info_nce(same, same, queue=torch.ones(7, 3), in_batch=False), math.log(8), rel_tol=1e-6)


def test_weights_choose_queries_and_gradients_reach_both_sides():
    queries, keys = rows().requires_grad_(), rows(seed=1).requires_grad_()
    weights = torch.tensor([1.0, 0.0, 0.0, 2.0, 0.0])
    each = info_nce(queries, keys, reduction="none")
    loss = info_nce(queries, keys, weights=weights)
    assert torch.isclose(loss, (each[0] + 2 * each[3]) / 3)
    loss.backward()
    assert queries.grad[1].abs().max() == 0
    assert keys.grad[1].abs().max() > 0  # still a negative of the others
    assert torch.autograd.gradcheck(info_nce, (queries, keys))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_batch": False}, "without a queue leaves no negatives"),
        ({"queue": torch.zeros(3, 5)}, r"queue has shape \(3, 5\) for queries \(5, 4\)"),
        ({"queue": torch.zeros(4, 3, 4)}, "or of each one"),
        ({"exclude": torch.zeros(5, 4, dtype=torch.bool)}, r"booleans of shape \(5, 5\)"),
        ({"exclude": torch.zeros(5, 5)}, "exclude is of torch.float32"),
        ({"tau": 0.0}, "tau=0"),
        ({"weights": torch.ones(4)}, "one weight per row"),
    ],
)
def test_what_info_nce_cannot_use_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        info_nce(rows(), rows(seed=1), **options)
    with pytest.raises(ValueError, match="give one key per query"):
        info_nce(rows(), rows(6))


def slow_supcon(anchors, keys, mask, allowed, tau, *, same):
    total, count = 0.0, 0
    for i, anchor in enumerate(anchors):
        compared = [j for j in range(len(keys)) if allowed[i][j] and not (same and i == j)]
        partners = [j for j in compared if mask[i][j]]
        if partners:
            mass = sum(math.exp(cosine(anchor, keys[j]) / tau) for j in compared)
            total += sum(math.log(mass) - cosine(anchor, keys[j]) / tau for j in partners) / len(partners)
            count += 1
    return total / count if count else 0.0


pairs = st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=5, max_size=5)


@settings(max_examples=20)
@given(mask=pairs, allowed=pairs, same=st.booleans())
def test_supcon_agrees_with_a_loop_and_skips_anchors_without_partner(mask, allowed, same):
    anchors, keys = rows(), rows(seed=1)
    allowed = torch.tensor(allowed) | torch.tensor(mask)
    loss = supcon(anchors, torch.tensor(mask), keys=None if same else keys, allowed=allowed, tau=0.2)
    slow = slow_supcon(anchors, anchors if same else keys, mask, allowed.tolist(), 0.2, same=same)
    assert math.isclose(loss, slow, rel_tol=1e-12, abs_tol=1e-13)


def test_two_views_as_only_partners_make_supcon_an_info_nce():
    first, second = rows(), rows(seed=1)
    views = torch.cat([first, second])
    partner = torch.arange(10).roll(5)
    loss = supcon(views, partner[:, None] == torch.arange(10))
    one_way = [
        slow_info_nce(a, b, 0.1, queue=[[a[j] for j in range(5) if j != i] for i in range(5)])
        for a, b in ((first, second), (second, first))
    ]
    assert math.isclose(loss, sum(one_way) / 2, rel_tol=1e-12)


def test_no_partner_at_all_is_zero_with_zero_gradients():
    anchors = rows().requires_grad_()
    nobody = torch.zeros(5, 5, dtype=torch.bool)
    loss = supcon(anchors, nobody, allowed=nobody)
    loss.backward()
    assert loss == 0
    assert anchors.grad.abs().max() == 0
    assert supcon(anchors, torch.eye(5, dtype=torch.bool)) == 0  # an anchor is no partner of its own


def test_weights_choose_anchors():
    anchors, mask = rows(), torch.ones(5, 5, dtype=torch.bool)
    each = supcon(anchors, mask, reduction="none")
    assert torch.isclose(supcon(anchors, mask, weights=torch.tensor([1, 0, 0, 0, 3])), (each[0] + 3 * each[4]) / 4)


@pytest.mark.parametrize(
    ("mask", "options", "message"),
    [
        (
            torch.ones(5, 4, dtype=torch.bool),
            {},
            r"mask is of torch.bool and shape \(5, 4\); booleans of shape \(5, 5\)",
        ),
        (torch.ones(5, 5), {}, "mask is of torch.float32"),
        (torch.ones(5, 5, dtype=torch.bool), {"allowed": torch.zeros(5, 5, dtype=torch.bool)}, "names partners that"),
        (torch.ones(5, 5, dtype=torch.bool), {"keys": torch.zeros(5, 3)}, "give one width"),
        (torch.ones(5, 5, dtype=torch.bool), {"tau": 0.0}, "tau=0"),
        (torch.ones(5, 5, dtype=torch.bool), {"weights": torch.ones(4)}, "give one per anchor"),
    ],
)
def test_what_supcon_cannot_use_is_refused(mask, options, message):
    with pytest.raises(ValueError, match=message):
        supcon(rows(), mask, **options)


@given(size=st.integers(1, 7), pushes=st.lists(st.integers(0, 9), max_size=6))
def test_a_queue_holds_what_the_end_of_a_list_would(size, pushes):
    queue, everything = FeatureQueue(size, 2), []
    for count in pushes:
        numbers = torch.arange(len(everything), len(everything) + count)
        queue.push(torch.stack([numbers, -numbers], dim=1).float(), numbers)
        everything += numbers.tolist()
    assert len(queue) == min(size, len(everything))
    assert sorted(queue.ids.tolist()) == everything[-size:]
    assert queue.features.tolist() == [[number, -number] for number in queue.ids.tolist()]


def test_a_queue_keeps_no_gradient_no_alias_and_its_state():
    queue, features = FeatureQueue(4, 4), rows().float().requires_grad_()
    queue.push(features)
    assert not queue.features.requires_grad
    assert queue.ids.tolist() == [-1] * 4
    queue.features.zero_()
    assert queue.features.abs().max() > 0
    again = FeatureQueue(4, 4)
    again.load_state_dict(queue.state_dict())
    for one in (queue, again):
        one.push(torch.ones(1, 4))
    assert torch.equal(again.features, queue.features)


def test_what_a_queue_cannot_hold_is_refused_and_nothing_is_pushed():
    queue = FeatureQueue(4, 4)
    for features, ids in [
        (torch.zeros(2, 3), None),
        (torch.zeros(2, 4), torch.zeros(3).long()),
        (torch.zeros(4), None),
    ]:
        with pytest.raises(ValueError, match=r"this queue holds rows of width 4|one int64 number per row"):
            queue.push(features, ids)
    with pytest.raises(ValueError, match="one int64 number per row"):
        queue.push(torch.zeros(2, 4), torch.zeros(2))
    with pytest.raises(TypeError, match="floating"):
        queue.push(torch.zeros(2, 4).long())
    assert len(queue) == 0
    with pytest.raises(ValueError, match="size=0"):
        FeatureQueue(0, 4)
