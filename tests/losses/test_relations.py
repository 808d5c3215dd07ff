"""Relations of orders 2 and 3 and of similarities, against loops over pairs and triplets."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from privkd.losses import relation2, relation3, relation_softmax


def rows(n=6, d=4, seed=0):
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def smooth(difference):
    return difference**2 / 2 if abs(difference) < 1 else abs(difference) - 0.5


def slow_relation2(student, teacher):
    def relative(points):
        distances = {
            (i, j): math.dist(points[i].tolist(), points[j].tolist())
            for i, j in itertools.permutations(range(len(points)), 2)
        }
        mean = sum(distances.values()) / len(distances)
        return {pair: value / mean for pair, value in distances.items()}

    s, t = relative(student), relative(teacher)
    return sum(smooth(s[pair] - t[pair]) for pair in s) / len(s)


def slow_relation3(student, teacher):
    def angle(points, i, j, k):
        first, second = points[i] - points[j], points[k] - points[j]
        if not first.any() or not second.any():
            return 0.0
        return float(first @ second / (first.norm() * second.norm()))

    triplets = list(itertools.permutations(range(len(student)), 3))
    return sum(smooth(angle(student, *t) - angle(teacher, *t)) for t in triplets) / len(triplets)


def slow_softmax(student, teacher, tau):
    total = 0.0
    for i in range(len(student)):
        shares = []
        for points in (teacher, student):
            weights = [
                math.exp(float(points[i] @ points[j] / (points[i].norm() * points[j].norm())) / tau)
                for j in range(len(points))
                if j != i
            ]
            shares.append([weight / sum(weights) for weight in weights])
        total += sum(q * math.log(q / p) for q, p in zip(*shares, strict=True))
    return total / len(student)


@settings(max_examples=15)
@given(n=st.integers(3, 6), d=st.integers(1, 5), seed=st.integers(0, 100))
def test_relations_agree_with_loops(n, d, seed):
    student, teacher = rows(n, d, seed), rows(n, d + 1, seed + 1)
    # Sums of at most 120 terms of order 1, each from some ten operations rounded at 2^-53; cosines at tau = 0.1 count tenfold.
    assert math.isclose(relation2(student, teacher), slow_relation2(student, teacher), rel_tol=1e-12, abs_tol=1e-13)
    assert math.isclose(relation3(student, teacher), slow_relation3(student, teacher), rel_tol=1e-12, abs_tol=1e-13)
    slow = slow_softmax(student, teacher, 0.1)
    assert math.isclose(relation_softmax(student, teacher), slow, rel_tol=1e-11, abs_tol=1e-12)


def test_repeated_rows_are_at_distance_zero_and_right_angles():
    student, teacher = rows(), rows(seed=1)
    student[2] = student[0]
    assert math.isclose(relation2(student, teacher), slow_relation2(student, teacher), rel_tol=1e-12)
    assert math.isclose(relation3(student, teacher), slow_relation3(student, teacher), rel_tol=1e-12)


@given(seed=st.integers(0, 50), scale=st.floats(0.01, 100))
def test_orders_two_and_three_see_neither_scale_nor_rotation_nor_shift(seed, scale):
    teacher = rows(seed=seed)
    rotation = torch.linalg.qr(rows(4, 4, seed + 1)).Q
    moved = scale * teacher @ rotation + rows(1, 4, seed + 2)
    # Shifts of order 1 against rows that may be 100 times smaller cost two digits of sixteen; differences are squared.
    assert relation2(moved, teacher) < 1e-20
    assert relation3(moved, teacher) < 1e-20
    assert relation_softmax(scale * teacher @ rotation, teacher) < 1e-12


def test_similarities_see_a_shift_and_all_orders_see_a_stretched_axis():
    teacher = rows()
    assert relation_softmax(teacher + 3, teacher) > 0.1
    stretched = teacher * torch.tensor([3.0, 1.0, 1.0, 1.0])
    for relation in (relation2, relation3, relation_softmax):
        assert relation(stretched, teacher) > 1e-3


def test_the_mean_distance_of_the_student_has_a_gradient():
    """With it, a student that only grows its distances has no gradient: the loss does not depend on scale."""
    student, teacher = rows().requires_grad_(), rows(seed=1)
    relation2(student, teacher).backward()
    assert abs(float((student.grad * student.detach()).sum())) < 1e-14
    assert student.grad.abs().max() > 1e-3


def test_triplets_are_of_a_few_rows_the_first_or_drawn_ones():
    student, teacher = rows(50), rows(50, seed=1)
    assert torch.equal(relation3(student, teacher), relation3(student[:32], teacher[:32]))
    drawn = relation3(student, teacher, rows=5, generator=torch.Generator().manual_seed(3))
    chosen = torch.randperm(50, generator=torch.Generator().manual_seed(3))[:5]
    assert torch.equal(drawn, relation3(student[chosen], teacher[chosen]))
    assert drawn != relation3(student, teacher, rows=5)
    assert torch.equal(relation3(student[:9], teacher[:9]), relation3(student, teacher, rows=9))


def test_repeated_rows_of_a_large_batch_far_from_the_origin_are_at_distance_zero():
    """By products of matrices, which are the fast way from 26 rows on, float32 rows near 1000 have distances that are noise."""
    student, teacher = (rows(20, seed=seed).float().repeat(2, 1) + 1000 for seed in (0, 1))
    # Differences of float32 numbers near 1000 are exact; the rest is rounded at 2^-24 some ten times.
    assert math.isclose(relation2(student, teacher), relation2(student.double(), teacher.double()), rel_tol=1e-5)


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="rows=2"):
        relation3(rows(), rows(), rows=2)
    with pytest.raises(ValueError, match="tau=-1"):
        relation_softmax(rows(), rows(), tau=-1.0)
