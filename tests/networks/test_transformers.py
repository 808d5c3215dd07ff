"""Patches, positions and the encoder: each against a slow twin, and what it must not depend on."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks.measured import parameters
from torch.nn import functional

from privkd.networks import FactorisedPositions, FrameEncoder, PatchTokenizer, TinyCNN, TinyViT, TransformerEncoder

FLOAT32 = 1e-5  # values of order 1 of at most a few hundred float32 terms


def uniform(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def slow_tokens(tokenizer: PatchTokenizer, image: torch.Tensor) -> torch.Tensor:
    p, found = tokenizer.patch, []
    for i, j in itertools.product(range(0, image.shape[1], p), range(0, image.shape[2], p)):
        found.append(tokenizer.project(image[:, i : i + p, j : j + p].reshape(-1)))
    return torch.stack(found)


@given(p=st.integers(1, 4), rows=st.integers(1, 3), columns=st.integers(1, 3), channels=st.integers(1, 3))
@settings(max_examples=20)
def test_tokens_are_the_patches_row_by_row_of_images_and_clips(p, rows, columns, channels):
    tokenizer, clips = PatchTokenizer(p, channels, 5), uniform(2, 2, channels, rows * p, columns * p)
    tokens = tokenizer(clips)
    assert tokens.shape == (2, 2, rows * columns, 5)
    assert torch.allclose(tokens[1, 0], slow_tokens(tokenizer, clips[1, 0]), atol=FLOAT32)
    unfolded = functional.unfold(clips[:, 0], p, stride=p).transpose(1, 2)
    assert torch.allclose(tokens[:, 0], tokenizer.project(unfolded), atol=FLOAT32)


@pytest.mark.parametrize("shape", [(2, 1, 48, 47), (2, 1, 50, 48), (2, 3, 48, 48), (48, 48), (2, 1, 48, 0)])
def test_images_that_cannot_be_cut_are_refused(shape):
    with pytest.raises(
        ValueError, match=r"takes \(\.\.\., 1, height, width\) with sides that are multiples of patch=12"
    ):
        PatchTokenizer(12, 1, 8)(torch.zeros(shape))


def test_positions_are_the_sum_of_place_and_time():
    positions = FactorisedPositions((2, 3), 5, frames=4)
    added = positions(torch.zeros(1, 4, 6, 5), (2, 3))[0]
    for t, i, j in itertools.product(range(4), range(2), range(3)):
        assert torch.equal(added[t, 3 * i + j], positions.space[i, j] + positions.time[t])


def test_positions_of_another_size_are_interpolated_between_neighbours():
    positions = FactorisedPositions((2, 2), 1, frames=2)
    with torch.no_grad():
        positions.space.copy_(torch.tensor([[[0.0], [4.0]], [[8.0], [12.0]]]))
        positions.time.copy_(torch.tensor([[0.0], [100.0]]))
    added = positions(torch.zeros(1, 4, 8, 1), (2, 4))[0, :, :, 0]
    assert torch.allclose(added[0], torch.tensor([0.0, 1, 3, 4, 8, 9, 11, 12]))  # pixel centres: 1/4 and 3/4 between
    assert torch.allclose(added[:, 0], torch.tensor([0.0, 25, 75, 100]))


def test_positions_for_another_number_of_tokens_are_refused():
    with pytest.raises(ValueError, match=r"\(b, frames, 6, d\) is needed"):
        FactorisedPositions((2, 3), 5)(torch.zeros(1, 1, 5, 5), (2, 3))


def slow_attention(layer, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """One row at a time: softmax of scaled products over the tokens that may be seen."""
    n, d = tokens.shape
    q, k, v = layer.attention_in(tokens).split(d, dim=1)
    mixed = torch.zeros(n, d)
    for head in range(layer.heads):
        part = slice(head * d // layer.heads, (head + 1) * d // layer.heads)
        for i in range(n):
            scores = (k[mask][:, part] @ q[i, part]) / math.sqrt(d // layer.heads)
            mixed[i, part] = torch.softmax(scores, 0) @ v[mask][:, part]
    return layer.attention_out(mixed)


def test_a_layer_is_the_pre_norm_formula_and_sees_only_unmasked_tokens():
    encoder, tokens = TransformerEncoder(8, 1, 2), uniform(2, 5, 8)
    mask = torch.tensor([[True] * 5, [True, True, False, True, False]])
    answer, layer = encoder(tokens, mask), encoder.layers[0]
    with torch.no_grad():
        for b in range(2):
            x = tokens[b] + slow_attention(layer, layer.attention_norm(tokens[b]), mask[b])
            assert torch.allclose(answer[b], encoder.norm(x + layer.perceptron(x)), atol=FLOAT32)


def test_masked_tokens_change_nothing_for_the_others():
    encoder, tokens = TransformerEncoder(8, 2, 2), uniform(2, 5, 8)
    mask = torch.arange(5)[None] < torch.tensor([[3], [5]])
    other = tokens.clone()
    other[0, 3:] = 7.0
    assert torch.equal(encoder(tokens, mask)[mask], encoder(other, mask)[mask])
    assert not torch.allclose(encoder(tokens), encoder(other))


def test_tokens_are_a_set_for_the_encoder():
    encoder, tokens, order = TransformerEncoder(8, 2, 2), uniform(2, 5, 8), torch.tensor([3, 0, 4, 1, 2])
    assert torch.allclose(encoder(tokens[:, order]), encoder(tokens)[:, order], atol=FLOAT32)


def test_dropped_branches_leave_the_mean_and_never_happen_outside_training():
    torch.manual_seed(0)
    encoder, x = TransformerEncoder(8, 1, 2, drop_path=0.4), uniform(1, 3, 8)
    layer = encoder.layers[0]
    n = 40_000
    kept = layer._kept(torch.ones(n, 1, 1)).flatten()
    assert kept.unique().tolist() == pytest.approx([0, 1 / 0.6])
    assert abs(kept.mean() - 1) < 4.5 * math.sqrt(0.4 / 0.6 / n)  # the variance of a kept branch is p / (1 - p)
    assert torch.equal(encoder.eval()(x), encoder(x))
    chances = [layer.drop_path for layer in TransformerEncoder(8, 4, 2, drop_path=0.4).layers]
    assert chances == pytest.approx([0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dim": 6}, "dim=6 must be a multiple of heads=4"),
        ({"layers": 0}, "layers=0"),
        ({"drop_path": 1.0}, "drop_path=1.0"),
    ],
)
def test_encoders_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TransformerEncoder(**settings)


def test_tokens_and_masks_of_another_shape_are_refused():
    encoder = TransformerEncoder(8, 1, 2)
    with pytest.raises(ValueError, match=r"takes \(b, n, 8\)"):
        encoder(torch.zeros(2, 5, 7))
    for mask in (torch.ones(2, 4, dtype=torch.bool), torch.ones(2, 5)):
        with pytest.raises(ValueError, match="bools of shape"):
            encoder(torch.zeros(2, 5, 8), mask)


def test_a_tiny_vision_transformer_takes_images_clips_and_other_sizes():
    network = TinyViT(frames=8).eval()
    assert parameters(network) == 9_280 + (16 + 8 + 1) * 64 + 3 * 33_472 + 128
    for shape in [(2, 1, 48, 48), (2, 8, 1, 48, 48), (2, 3, 1, 24, 60)]:
        assert network(torch.zeros(shape)).shape == (2, 64)
    clip = uniform(2, 8, 1, 48, 48)
    tokens = network.embed(clip).flatten(1, 2)
    assert torch.equal(network.encode(tokens)[:, 0], network(clip))
    shuffled = network.encode(tokens[:, torch.randperm(128, generator=torch.Generator().manual_seed(0))])[:, 0]
    assert torch.allclose(shuffled, network(clip), atol=FLOAT32)  # positions travel with their tokens
    assert not torch.allclose(network(clip.flip(1)), network(clip), atol=1e-4)  # and time is told apart


def test_a_tiny_vision_transformer_refuses_other_inputs():
    with pytest.raises(ValueError, match="side=50 must be a multiple of patch=12"):
        TinyViT(50)
    with pytest.raises(ValueError, match=r"takes \(b, C, h, w\) or \(b, frames, C, h, w\)"):
        TinyViT()(torch.zeros(1, 48, 48))


@pytest.mark.parametrize("encoder", [TinyViT(), TinyCNN()])
def test_small_encoders_have_the_interface_of_frame_encoders(encoder):
    assert isinstance(encoder, FrameEncoder)
    assert not isinstance(torch.nn.Identity(), FrameEncoder)
