"""Heads and projectors: cosines written out, the geometry of the simplex, means by hand, and what `expand` keeps."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from privkd.networks import CosineHead, Projector, PrototypeHead, ResidualProjector, SimplexHead

FLOAT32 = 1e-5  # cosines of order 1 of a few dozen float32 terms


def seeded(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def slow_cosines(a: torch.Tensor, b: torch.Tensor) -> list[list[float]]:
    rows = [[sum(x * y for x, y in zip(p, q, strict=True)) for q in b.tolist()] for p in a.tolist()]
    return [
        [dot / (math.hypot(*a[i].tolist()) * math.hypot(*b[j].tolist())) for j, dot in enumerate(row)]
        for i, row in enumerate(rows)
    ]


def test_cosine_logits_are_the_cosines_written_out():
    head = CosineHead(6, 4, scale=3.0)
    h = seeded(5, 6)
    expected = 3 * torch.tensor(slow_cosines(h, head.weight.detach()))
    assert torch.allclose(head(h), expected, atol=FLOAT32)


@given(factor=st.floats(1e-3, 1e3))
def test_only_the_direction_of_an_embedding_counts(factor):
    head, h = CosineHead(6, 4), seeded(5, 6)
    assert torch.allclose(head(h), head(factor * h), atol=16 * FLOAT32)


def test_a_zero_embedding_has_finite_logits_and_gradients():
    head = CosineHead(6, 4)
    h = torch.zeros(2, 6, requires_grad=True)
    head(h).sum().backward()
    assert head(h).abs().max() == 0
    assert h.grad is not None
    assert h.grad.isfinite().all()


def test_expand_keeps_old_logits_and_gives_new_classes_the_direction_of_their_means():
    head, h, means = CosineHead(6, 4), seeded(5, 6), seeded(2, 6, seed=1)
    before, norm = head(h), head.weight.norm(dim=1).mean()
    head.expand(2, means)
    assert head.weight.requires_grad
    assert torch.equal(head(h)[:, :4], before)
    assert torch.allclose(head(means)[:, 4:].diagonal(), torch.full((2,), 16.0), atol=16 * FLOAT32)
    assert torch.allclose(head.weight[4:].norm(dim=1), norm.expand(2), rtol=FLOAT32)
    head.expand(1)
    assert head(h).shape == (5, 7)


def test_expand_refuses_what_is_no_class_and_changes_nothing():
    head = CosineHead(6, 4)
    for wrong, message in [
        ((2, seeded(3, 6)), r"init has shape \(3, 6\)"),
        ((2, seeded(2, 5)), r"init has shape \(2, 5\)"),
        ((1, torch.zeros(1, 6)), "zero vector"),
        ((0, None), "n=0"),
    ]:
        with pytest.raises(ValueError, match=message):
            head.expand(*wrong)
    assert head.weight.shape == (4, 6)


@given(classes=st.integers(2, 12), spare=st.integers(0, 5))
def test_the_vectors_of_a_simplex_have_unit_length_and_equal_angles(classes, spare):
    weight = SimplexHead(classes + spare, classes, torch.Generator().manual_seed(classes)).weight
    expected = torch.full((classes, classes), -1 / (classes - 1)).fill_diagonal_(1.0)
    assert torch.allclose(weight @ weight.T, expected, atol=FLOAT32)
    assert torch.allclose(weight.sum(dim=0), torch.zeros(classes + spare), atol=FLOAT32)


def test_the_simplex_loss_is_zero_at_the_vector_of_the_label_and_largest_opposite():
    head = SimplexHead(6, 4, torch.Generator().manual_seed(0))
    labels = torch.tensor([2, 0, 1])
    assert head.loss(5 * head.weight[labels], labels) < FLOAT32
    assert head.loss(-head.weight[labels], labels).item() == pytest.approx(2.0, abs=FLOAT32)
    assert not list(head.parameters())


def test_a_space_that_is_too_small_for_the_simplex_is_refused():
    SimplexHead(4, 4)
    with pytest.raises(ValueError, match="dim=3 must be at least classes=4"):
        SimplexHead(3, 4)


def test_prototypes_are_the_means_of_all_that_was_added_in_any_order():
    h, labels = seeded(30, 6), torch.arange(30) % 3
    at_once, in_parts = PrototypeHead(6, 3), PrototypeHead(6)
    at_once.add(h, labels)
    in_parts.expand(3)
    for part in torch.randperm(30, generator=torch.Generator().manual_seed(0)).split(7):
        in_parts.add(h[part], labels[part])
    means = torch.stack([h[labels == k].mean(dim=0) for k in range(3)])
    for head in (at_once, in_parts):
        assert torch.allclose(head.means, means, atol=FLOAT32)
        assert torch.allclose(head(h), 16 * torch.tensor(slow_cosines(h, means)), atol=16 * FLOAT32)


def test_prototypes_refuse_to_answer_for_classes_without_embeddings():
    head = PrototypeHead(6)
    with pytest.raises(ValueError, match="0 of 0 classes have no embeddings"):
        head(seeded(1, 6))
    head.expand(2)
    head.add(seeded(1, 6), torch.tensor([1]))
    with pytest.raises(ValueError, match="1 of 2 classes have no embeddings"):
        head(seeded(1, 6))
    assert head.means[0].abs().max() == 0


def test_prototypes_refuse_labels_out_of_range_before_anything_is_counted():
    head = PrototypeHead(6, 2)
    for labels, message in [([0, 2], r"0\.\.1"), ([-1, 0], r"0\.\.1"), ([0], "give one each")]:
        with pytest.raises(ValueError, match=message):
            head.add(seeded(2, 6), torch.tensor(labels))
    assert head.counts.sum() == 0
    assert head.sums.abs().max() == 0


@pytest.mark.parametrize("head", [CosineHead(6, 4), SimplexHead(6, 4), PrototypeHead(6, 2)])
def test_embeddings_of_another_size_are_refused(head):
    with pytest.raises(ValueError, match=r"given shape \(2, 5\); it takes embeddings of shape \(b, 6\)"):
        head(seeded(2, 5))


@pytest.mark.parametrize("head", [CosineHead, PrototypeHead])
@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf])
def test_a_scale_that_is_not_positive_is_refused(head, scale):
    with pytest.raises(ValueError, match="scale="):
        head(6, 2, scale=scale)


@pytest.mark.parametrize(
    ("kind", "shape"), [("linear", (2, 3)), ("mlp", (2, 3)), ("mlp", (2, 7, 3)), ("conv1x1", (2, 3, 4, 5))]
)
def test_projectors_change_the_size_of_features_and_nothing_else(kind, shape):
    answer = Projector(3, 8, kind)(torch.rand(shape)).shape
    assert answer == tuple(8 if size == 3 else size for size in shape)


def test_a_1x1_convolution_is_the_linear_projector_at_every_place():
    linear, convolution = Projector(3, 8), Projector(3, 8, "conv1x1")
    convolution.body.load_state_dict(
        {name: v.reshape(*v.shape, *(1,) * (2 * (v.dim() == 2))) for name, v in linear.body.state_dict().items()}
    )
    maps = seeded(2, 3, 4, 5)
    assert torch.allclose(convolution(maps).permute(0, 2, 3, 1), linear(maps.permute(0, 2, 3, 1)), atol=FLOAT32)


def test_projectors_refuse_unknown_kinds_and_widths_without_a_use():
    assert Projector(3, 8, "mlp", hidden=5).body[0].out_features == 5
    with pytest.raises(ValueError, match="hidden=5 is only for kind='mlp'"):
        Projector(3, 8, hidden=5)
    with pytest.raises(ValueError, match="inputs=0"):
        Projector(0, 8)


def test_a_residual_projector_changes_nothing_until_it_is_trained():
    projector, h = ResidualProjector(6), seeded(5, 6)
    assert torch.equal(projector(h), h)
    projector(h).square().sum().backward()
    assert projector.outer.weight.grad.abs().max() > 0
    assert projector.inner.weight.grad.abs().max() == 0
    torch.nn.init.ones_(projector.outer.weight)
    assert not torch.allclose(projector(h), h, atol=1e-2)
