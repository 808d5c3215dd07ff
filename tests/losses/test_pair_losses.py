"""Laws that all losses between a student and a teacher keep."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from privkd import losses
from privkd.losses.distillation import MapFeature


def rows(n=7, d=4, seed=0):
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


PER_ROW = {
    "kl": losses.kl,
    "logit_kd": losses.logit_kd,
    "feature_distance": losses.feature_distance,
    "raw": lambda s, t: losses.feature_distance(s, t, normalise=False),
    "map": lambda s, t: MapFeature(t.shape[1]).double().eval()(s, t),
}
RELATIONS = {
    "relation2": (2, losses.relation2),
    "relation3": (3, losses.relation3),
    "relation_softmax": (3, losses.relation_softmax),
}
ALL = {**PER_ROW, **{name: loss for name, (_, loss) in RELATIONS.items()}}


@pytest.mark.parametrize("name", ALL)
def test_a_student_that_equals_its_teacher_has_no_loss_and_another_one_has(name):
    teacher = rows()
    assert abs(float(ALL[name](teacher.clone(), teacher))) < 1e-12
    assert float(ALL[name](rows(seed=1), teacher)) > 1e-3


@pytest.mark.parametrize("name", ALL)
def test_the_teacher_gets_no_gradient_and_that_of_the_student_is_right(name):
    student, teacher = rows(n=3, d=3).requires_grad_(), rows(n=3, d=3, seed=1).requires_grad_()
    ALL[name](student, teacher).backward()
    assert teacher.grad is None
    assert student.grad.abs().max() > 0
    assert torch.autograd.gradcheck(lambda s: ALL[name](s, teacher.detach()), student)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_identical_rows_give_finite_losses_and_gradients(name, value):
    student = torch.full((5, 3), value, dtype=torch.float64, requires_grad=True)
    loss = ALL[name](student, rows(5, 3))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(student.grad).all()
    assert student.grad.abs().max() < 1e3


@pytest.mark.parametrize("name", RELATIONS)
def test_a_repeated_row_does_not_blow_the_gradient_up(name):
    student = rows(6, 4)
    student[1] = student[0]
    student.requires_grad_()
    RELATIONS[name][1](student, rows(6, 4, seed=1)).backward()
    assert student.grad.abs().max() < 10.0


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=10)
@given(seed=st.integers(0, 20))
def test_the_order_of_rows_does_not_matter(name, seed):
    student, teacher = rows(), rows(seed=1)
    order = torch.randperm(len(student), generator=torch.Generator().manual_seed(seed))
    # Sums in another order: at most 7^3 terms below 100, each rounded at 2^-53.
    assert abs(float(ALL[name](student[order], teacher[order]) - ALL[name](student, teacher))) < 1e-11


@pytest.mark.parametrize("name", PER_ROW)
def test_a_mean_over_rows_does_not_depend_on_the_size_of_the_batch(name):
    student, teacher = rows(), rows(seed=1)
    twice = ALL[name](student.repeat(2, 1), teacher.repeat(2, 1))
    assert torch.isclose(twice, ALL[name](student, teacher), rtol=1e-12)


@pytest.mark.parametrize("name", RELATIONS)
def test_too_few_rows_are_refused_and_just_enough_are_not(name):
    least, loss = RELATIONS[name]
    with pytest.raises(ValueError, match=f"student has {least - 1} rows, and this loss compares at least {least}"):
        loss(rows(least - 1), rows(least - 1))
    assert torch.isfinite(loss(rows(least), rows(least, seed=1)))


@pytest.mark.parametrize("name", RELATIONS)
def test_relations_take_embeddings_of_different_widths_but_not_of_different_rows(name):
    loss = RELATIONS[name][1]
    assert torch.isfinite(loss(rows(5, 3), rows(5, 8)))
    with pytest.raises(ValueError, match="student has 5 rows and teacher 6; give embeddings of the same rows"):
        loss(rows(5), rows(6))


@pytest.mark.parametrize("name", PER_ROW)
def test_rows_of_different_shapes_are_refused(name):
    with pytest.raises(ValueError, match="student"):
        PER_ROW[name](rows(5, 3), rows(5, 4))


@pytest.mark.parametrize("name", [name for name in ALL if name != "map"])
def test_half_precision_gives_the_loss_of_its_numbers_in_single_precision(name):
    student, teacher = rows().half(), rows(seed=1).half()
    assert ALL[name](student, teacher) == ALL[name](student.float(), teacher.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ALL[name](student, teacher) == ALL[name](student.float(), teacher.float())
