"""The contrast of relations against loops over anchors, rows and candidates."""

import math

import pytest
import torch

from privkd.losses import RelationContrast


def rows(n=6, d=4, seed=0):
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def module(**settings):
    torch.manual_seed(0)
    return RelationContrast(4, **{"hidden": 8, "tau": 0.5, **settings}).double()


def slow(contrast, student, teacher, anchors, *, past=(), same=lambda j, k: False):
    """`same(j, k)` says whether candidate k is no negative of row j."""
    candidates = [*student, *past]
    total = 0.0
    for i in anchors:
        for j in range(len(teacher)):
            v = contrast.teacher_relation(teacher[i] - teacher[j])
            scores = []
            for candidate in candidates:
                u = contrast.student_relation(teacher[i] - candidate)
                scores.append(float((v @ u / (v.norm() * u.norm())).detach()) / contrast.tau)
            negatives = [k for k in range(len(candidates)) if k != j and not same(j, k)]
            if contrast.form == "info_nce":
                total += math.log(math.exp(scores[j]) + sum(math.exp(scores[k]) for k in negatives)) - scores[j]
            else:
                total += math.log1p(math.exp(-scores[j])) + sum(math.log1p(math.exp(scores[k])) for k in negatives)
    return total / (len(anchors) * len(teacher))


@pytest.mark.parametrize("form", ["info_nce", "sigmoid"])
def test_both_forms_agree_with_loops(form):
    contrast, student, teacher = module(form=form, anchors=4), rows(), rows(seed=1)
    assert math.isclose(contrast(student, teacher).detach(), slow(contrast, student, teacher, range(4)), rel_tol=1e-12)
    drawn = torch.randperm(6, generator=torch.Generator().manual_seed(2))[:4].tolist()
    loss = contrast(student, teacher, generator=torch.Generator().manual_seed(2))
    assert math.isclose(loss.detach(), slow(contrast, student, teacher, drawn), rel_tol=1e-12)


@pytest.mark.parametrize("form", ["info_nce", "sigmoid"])
def test_rows_of_one_label_are_no_negatives_of_each_other_when_labels_are_given(form):
    contrast, student, teacher = module(form=form), rows(), rows(seed=1)
    labels = [0, 0, 1, 1, -1, -1]

    def same(j, k):
        return j != k and labels[j] == labels[k] >= 0

    loss = contrast(student, teacher, labels=torch.tensor(labels))
    assert math.isclose(loss.detach(), slow(contrast, student, teacher, range(6), same=same), rel_tol=1e-12)
    assert loss < contrast(student, teacher)
    assert torch.isclose(contrast(student, teacher, labels=torch.arange(6)), contrast(student, teacher))


def test_a_queue_adds_students_of_past_batches_as_candidates_and_not_more_than_it_holds():
    contrast, past, student, teacher = module(queue=8), rows(5, seed=2), rows(), rows(seed=1)
    contrast(past, rows(5, seed=3), labels=torch.tensor([7, 1, 7, 1, 7]))
    assert len(contrast.queue) == 5
    contrast.eval()
    labels = [7, 1, 2, 3, 4, -1]
    known = [*labels, 7, 1, 7, 1, 7]

    def same(j, k):
        return j != k and known[j] == known[k] >= 0

    loss = contrast(student, teacher, labels=torch.tensor(labels))
    assert math.isclose(loss.detach(), slow(contrast, student, teacher, range(6), past=past, same=same), rel_tol=1e-12)
    assert len(contrast.queue) == 5, "evaluation pushes nothing"
    contrast.train()
    for _ in range(4):
        contrast(student, teacher)
    assert len(contrast.queue) == 8


def test_the_student_and_both_networks_learn_and_the_teacher_does_not():
    contrast, student, teacher = module(), rows().requires_grad_(), rows(seed=1).requires_grad_()
    contrast(student, teacher).backward()
    assert teacher.grad is None
    assert student.grad.abs().max() > 0
    assert all(parameter.grad.abs().max() > 0 for parameter in contrast.parameters())
    assert torch.autograd.gradcheck(lambda s: contrast(s, teacher), student)


@pytest.mark.parametrize("form", ["info_nce", "sigmoid"])
def test_identical_rows_give_finite_losses_and_gradients(form):
    contrast, student = module(form=form), torch.ones(5, 4, dtype=torch.float64, requires_grad=True)
    loss = contrast(student, torch.ones(5, 4, dtype=torch.float64))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(student.grad).all()
    if form == "info_nce":
        assert math.isclose(loss.detach(), math.log(5), rel_tol=1e-12)  # all candidates look the same


def test_training_tells_paired_rows_from_permuted_ones():
    """The module alone learns to recognise rows of a rotated teacher; where rows are permuted there is nothing to learn.

    Three seeds gave 1.68, 1.71, 1.90 with pairs and 2.84 to 2.86 without, on fresh rows; chance is log 16 = 2.77.
    """
    rotation, found = torch.linalg.qr(rows(4, 4, 5)).Q, {}
    for shift in (0, 1):
        contrast = module(hidden=32, tau=0.1, anchors=4)
        optimizer = torch.optim.Adam(contrast.parameters(), lr=1e-2)
        for step in range(40):
            teacher = rows(16, 4, 100 + step)
            loss = contrast((teacher @ rotation).roll(shift, 0), teacher)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        fresh = [rows(16, 4, seed) for seed in range(4)]
        found[shift] = sum(float(contrast((x @ rotation).roll(shift, 0), x).detach()) for x in fresh) / 4
    assert found[0] < math.log(16) - 0.7
    assert found[1] > math.log(16) - 0.1


@pytest.mark.parametrize(
    ("student", "teacher", "labels", "message"),
    [
        (rows(2), rows(2), None, "student has 2 rows, and this loss compares at least 3"),
        (rows(), rows(6, 5), None, "project the teacher to the width of the student"),
        (rows(), rows(), torch.zeros(5).long(), r"labels has shape \(5,\); give one label per row, \(6,\)"),
    ],
)
def test_batches_that_do_not_fit_are_refused_and_enter_no_queue(student, teacher, labels, message):
    contrast = module(queue=4)
    with pytest.raises(ValueError, match=message):
        contrast(student, teacher, labels=labels)
    assert len(contrast.queue) == 0


@pytest.mark.parametrize("settings", [{"hidden": 0}, {"anchors": 0}, {"queue": -1}, {"tau": 0.0}])
def test_settings_out_of_range_are_refused(settings):
    (name,) = settings
    with pytest.raises(ValueError, match=f"{name}="):
        module(**settings)
