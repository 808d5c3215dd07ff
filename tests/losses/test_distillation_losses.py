"""Divergences with masks, embeddings under weights, and maps with running statistics, against slow twins."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from privkd.losses import MapFeature, feature_distance, kl, logit_kd


def rows(n=5, d=4, seed=0):
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def slow_kl(student, teacher, tau, mask, wider):
    """Rows one after the other, with dictionaries of the classes that are allowed."""
    total = 0.0
    for s, t, inside, outside in zip(student.tolist(), teacher.tolist(), mask.tolist(), wider.tolist(), strict=True):
        q = {k: math.exp(v / tau) for k, v in enumerate(t) if inside[k]}
        p = {k: math.exp(v / tau) for k, v in enumerate(s) if outside[k]}
        for k, value in q.items():
            share = value / sum(q.values())
            total += share * math.log(share / (p[k] / sum(p.values())))
    return tau**2 * total / len(student)


@settings(max_examples=25)
@given(
    mask=st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=5, max_size=5),
    wider=st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=5, max_size=5),
    tau=st.floats(0.3, 8),
)
def test_divergence_under_masks_agrees_with_a_sum_over_the_allowed_classes(mask, wider, tau):
    student, teacher, mask = rows(), rows(seed=1), torch.tensor(mask)
    wider = torch.tensor(wider) | mask
    # Each term is rounded a few times at 2^-53; values stay below 64 * 40.
    assert math.isclose(
        kl(student, teacher, tau=tau, mask=mask, student_mask=wider),
        slow_kl(student, teacher, tau, mask, wider),
        rel_tol=1e-12,
        abs_tol=1e-11,
    )
    assert math.isclose(
        kl(student, teacher, tau=tau, mask=mask),
        slow_kl(student, teacher, tau, mask, mask),
        rel_tol=1e-12,
        abs_tol=1e-11,
    )


def test_divergence_without_masks_is_that_of_torch():
    student, teacher = rows(), rows(seed=1)
    theirs = functional.kl_div((student / 3).log_softmax(1), (teacher / 3).softmax(1), reduction="batchmean")
    assert torch.isclose(kl(student, teacher, tau=3.0), 9 * theirs, rtol=1e-12)
    assert torch.equal(logit_kd(student, teacher, tau=3.0), kl(student, teacher, tau=3.0))
    assert torch.equal(logit_kd(student, teacher), kl(student, teacher, tau=4.0))


def test_logits_may_be_shifted_and_the_factor_keeps_gradients_over_temperatures():
    student, teacher = rows(), rows(seed=1)
    assert torch.isclose(kl(student + 50, teacher - 7), kl(student, teacher), rtol=1e-11)
    # At high temperature tau^2 KL tends to half the variance of the difference of logits over the classes.
    limit = (student - teacher).var(dim=1, correction=0).mean() / 2
    assert torch.isclose(kl(student, teacher, tau=1e4), limit, rtol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_rows_without_an_allowed_class_add_zero_and_count(dtype):
    student, teacher = (100 * rows()).to(dtype).requires_grad_(), (100 * rows(seed=1)).to(dtype)
    mask = torch.ones(5, 4, dtype=torch.bool)
    mask[3] = False
    loss = kl(student, teacher, mask=mask)
    loss.backward()
    assert torch.isclose(loss, kl(student, teacher, mask=mask, reduction="none")[mask.all(1)].sum() / 5, rtol=1e-6)
    assert student.grad[3].abs().max() == 0
    assert torch.isfinite(student.grad).all()
    assert kl(student, teacher, mask=torch.zeros(4, dtype=torch.bool)) == 0


def test_large_logits_outside_of_the_mask_do_not_leak_into_it():
    # A fill of -1000 is beaten by such a logit; half of the lowest number is not.
    teacher, student = torch.tensor([[1.0, 2.0, 5000.0]]), torch.tensor([[1.0, 2.0, 4000.0]])
    mask = torch.tensor([True, True, False])
    assert kl(student, teacher, mask=mask) == 0
    # Nor do they win when the allowed logits are far below such a fill.
    other = student.roll(1, 1) - 6000
    assert torch.equal(kl(other, teacher - 6000, mask=mask), kl(other + 6000, teacher, mask=mask))
    assert kl(other, teacher - 6000, mask=mask) > 1
    added = (teacher + torch.where(mask, 0.0, -1000.0)).softmax(1)
    assert added[0, 2] == 1


def test_a_class_that_a_teacher_rules_out_adds_nothing():
    student, teacher = torch.zeros(1, 3, requires_grad=True), torch.tensor([[0.0, 0.0, -torch.inf]])
    loss = kl(student, teacher)
    loss.backward()
    assert math.isclose(loss.detach(), math.log(3 / 2), rel_tol=1e-6)
    assert torch.isfinite(student.grad).all()


def test_only_the_teacher_is_masked_when_the_student_has_a_set_of_its_own():
    student = torch.tensor([[0.0, 0.0, 3.0]])
    mask = torch.tensor([True, True, False])
    alone, open_set = (
        kl(student, torch.zeros(1, 3), mask=mask),
        kl(student, torch.zeros(1, 3), mask=mask, student_mask=torch.ones(3, dtype=torch.bool)),
    )
    assert alone == 0
    assert open_set > 2  # mass on the class outside of the mask is pushed down


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tau": 0.0}, "tau=0"),
        ({"tau": float("nan")}, "tau=nan"),
        ({"mask": torch.ones(5, 4)}, "mask is of torch.float32"),
        ({"mask": torch.ones(3, dtype=torch.bool)}, r"booleans of shape \(5, 4\) or \(4,\)"),
        ({"student_mask": torch.tensor([True, True, True, False])}, "student_mask leaves out classes of mask"),
        ({"weights": torch.ones(4)}, "one weight per row"),
    ],
)
def test_what_a_divergence_cannot_use_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        kl(rows(), rows(seed=1), **options)


@settings(max_examples=25)
@given(where=st.lists(st.sampled_from([0.0, 0.5, 2.0]), min_size=5, max_size=5))
def test_feature_distance_is_the_weighted_mean_of_two_less_two_cosines(where):
    student, teacher = rows(), rows(seed=1)
    cosines = [float(s @ t / (s.norm() * t.norm())) for s, t in zip(student, teacher, strict=True)]
    total = sum(where)
    slow = sum(w * (2 - 2 * c) for w, c in zip(where, cosines, strict=True)) / total if total else 0.0
    assert math.isclose(
        feature_distance(student, teacher, where=torch.tensor(where)), slow, rel_tol=1e-12, abs_tol=1e-15
    )


def test_rows_that_are_not_wanted_get_no_gradient_and_lengths_matter_only_without_normalisation():
    student, teacher = rows().requires_grad_(), rows(seed=1)
    where = torch.tensor([True, False, True, True, False])
    loss = feature_distance(student, teacher, where=where)
    loss.backward()
    assert student.grad[~where].abs().max() == 0
    assert student.grad[where].abs().min() > 0
    assert torch.isclose(loss, feature_distance(5 * student[where], teacher[where] / 3))
    raw = feature_distance(student, teacher, normalise=False)
    assert torch.isclose(raw, sum((s - t).square().sum() for s, t in zip(student, teacher, strict=True)) / 5)
    assert feature_distance(5 * teacher, teacher, normalise=False) > 1


def maps(n=8, seed=0, shift=3.0):
    generator = torch.Generator().manual_seed(seed)
    scale = torch.tensor([0.1, 1.0, 30.0])[:, None, None]
    return shift + scale * torch.randn(n, 3, 5, 5, generator=generator)


def test_standardised_maps_make_the_mean_cost_one_whatever_the_channels_scale():
    teacher = maps()
    distance = MapFeature(3)
    assert math.isclose(distance(torch.zeros_like(teacher), teacher), 1.0, rel_tol=1e-5)
    perfect = (teacher - teacher.mean((0, 2, 3), keepdim=True)) / teacher.std((0, 2, 3), keepdim=True, correction=0)
    assert distance.eval()(perfect, teacher) < 1e-9


def test_running_statistics_are_those_of_all_batches_while_all_count_alike():
    batches = [maps(seed=seed, shift=float(seed)) for seed in range(5)]
    distance = MapFeature(3, momentum=0.01)
    for batch in batches:
        distance(torch.zeros_like(batch), batch)
    everything = torch.cat(batches).double().transpose(0, 1).flatten(1)
    # Five updates in float32, numbers up to 1000: 5 * 1000 * 2^-23 at most.
    assert torch.allclose(distance.mean.double(), everything.mean(1), atol=6e-4)
    assert torch.allclose(distance.variance.double(), everything.var(1, correction=0), rtol=1e-4)
    assert int(distance.batches) == 5


def test_evaluation_moves_no_statistics_and_they_are_in_the_state():
    distance = MapFeature(3).eval()
    before = {name: value.clone() for name, value in distance.state_dict().items()}
    distance(maps(), maps())
    assert all(torch.equal(value, before[name]) for name, value in distance.state_dict().items())
    assert set(before) == {"mean", "variance", "batches"}


def test_a_constant_channel_is_no_division_by_zero():
    teacher = torch.ones(4, 1, 3, 3)
    student = torch.zeros(4, 1, 3, 3, requires_grad=True)
    loss = MapFeature(1)(student, teacher)
    loss.backward()
    assert loss == 0
    assert torch.isfinite(student.grad).all()


def test_maps_that_do_not_fit_are_refused_before_statistics_move():
    distance = MapFeature(3)
    for student, teacher in [(maps(), maps()[:, :2]), (maps()[:, :2], maps()[:, :2]), (maps()[:0], maps()[:0])]:
        with pytest.raises(ValueError, match="channels"):
            distance(student, teacher)
    assert int(distance.batches) == 0
    with pytest.raises(ValueError, match="channels=0"):
        MapFeature(0)
    with pytest.raises(ValueError, match="momentum=0"):
        MapFeature(3, momentum=0.0)
