"""The selective scan: the recurrence written out, chunks, sequences in parts, and filling that changes nothing."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from privkd.networks import ScanState, SelectiveScan, scan

PROMISED = 1e-5  # between any two ways to scan, for answers of order 1


def problem(b: int = 2, length: int = 10, channels: int = 3, states: int = 4, *, fastest: float = 1.0, seed: int = 0):
    """u, delta, A, B, C as a block makes them, with decays between none and exp(-fastest * states) a step."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    delta = fastest * torch.rand(b, length, channels, generator=generator)
    A = -torch.arange(1.0, states + 1).repeat(channels, 1)
    return normal(b, length, channels), delta, A, normal(b, length, states), normal(b, length, states)


def slow_scan(u, delta, A, B, C, h):
    """The definition in Python floats (float64), one number at a time."""
    u, delta, A, B, C, h = (tensor.double().tolist() for tensor in (u, delta, A, B, C, h))
    answers = []
    for row in range(len(u)):
        for i, inputs in enumerate(u[row]):
            for e, value in enumerate(inputs):
                for n, rate in enumerate(A[e]):
                    step = delta[row][i][e]
                    h[row][e][n] = math.exp(step * rate) * h[row][e][n] + step * B[row][i][n] * value
                answers.append(sum(c * x for c, x in zip(C[row][i], h[row][e], strict=True)))
    return torch.tensor(answers).reshape(len(u), len(u[0]), len(u[0][0])), torch.tensor(h)


@given(length=st.integers(1, 12), chunk=st.integers(0, 13), seed=st.integers(0, 99))
@settings(max_examples=40)
def test_every_chunk_gives_the_recurrence_written_out(length, chunk, seed):
    inputs = problem(length=length, seed=seed)
    h0 = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(seed + 1))
    expected, last = slow_scan(*inputs, h0)
    y, h = scan(*inputs, h0, chunk=chunk)
    assert torch.allclose(y, expected.float(), atol=PROMISED)
    assert torch.allclose(h, last.float(), atol=PROMISED)


@pytest.mark.parametrize("fastest", [1e-3, 0.1, 1.0, 20.0])
def test_chunks_agree_with_the_loop_over_long_sequences_also_where_decays_underflow(fastest):
    inputs = problem(1, 700, 8, 16, fastest=fastest)
    (loop, h_loop), (chunks, h_chunks) = scan(*inputs, chunk=0), scan(*inputs, chunk=64)
    size = max(1.0, float(loop.abs().max()))
    assert (loop - chunks).abs().max() <= PROMISED * size
    assert (h_loop - h_chunks).abs().max() <= PROMISED * size
    assert torch.equal(scan(*inputs)[0], chunks)  # above 512 steps
    short = tuple(tensor[:, :512] if tensor.dim() == 3 else tensor for tensor in inputs)
    assert torch.equal(scan(*short)[0], loop[:, :512])


def test_cumulative_products_would_have_failed_where_chunks_do_not():
    u, delta, A, B, C = problem(1, 64, 3, 16, fastest=20.0)
    decay = (delta[..., None] * A).cumsum(dim=1)
    naive = decay.exp() * ((delta * u)[..., None] * B[:, :, None] / decay.exp()).cumsum(dim=1)
    assert not naive.isfinite().all()
    assert scan(u, delta, A, B, C, chunk=64)[0].isfinite().all()


@given(cut=st.integers(1, 9), chunk=st.sampled_from([0, 4]))
@settings(max_examples=20)
def test_a_sequence_in_two_parts_with_its_state_carried_is_the_whole(cut, chunk):
    u, delta, A, B, C = problem()
    whole, last = scan(u, delta, A, B, C)
    first, state = scan(u[:, :cut], delta[:, :cut], A, B[:, :cut], C[:, :cut], chunk=chunk)
    second, end = scan(u[:, cut:], delta[:, cut:], A, B[:, cut:], C[:, cut:], state, chunk=chunk)
    assert torch.allclose(torch.cat([first, second], 1), whole, atol=PROMISED)
    assert torch.allclose(end, last, atol=PROMISED)
    forgotten, _ = scan(u[:, cut:], delta[:, cut:], A, B[:, cut:], C[:, cut:])
    assert not torch.allclose(forgotten, whole[:, cut:], atol=PROMISED)


def test_gradients_of_chunks_are_those_of_the_loop():
    found = []
    for chunk in (0, 4):
        inputs = [tensor.clone().requires_grad_() for tensor in problem()]
        scan(*inputs, chunk=chunk)[0].square().sum().backward()
        found.append([tensor.grad for tensor in inputs])
    for loop, chunks in zip(*found, strict=True):
        assert torch.allclose(loop, chunks, atol=1e-4, rtol=1e-4)


def test_half_precision_is_scanned_in_float32():
    inputs = problem(1, 40)
    y, h = scan(*(tensor.half() for tensor in inputs))
    assert y.dtype == h.dtype == torch.float32
    assert torch.allclose(y, scan(*(tensor.half().float() for tensor in inputs))[0], atol=PROMISED)


@pytest.mark.parametrize(("position", "name"), [(1, "delta"), (2, "A"), (3, "B"), (4, "C")])
def test_shapes_that_do_not_belong_together_are_refused(position, name):
    inputs = list(problem())
    inputs[position] = inputs[position][:-1]
    with pytest.raises(ValueError, match=f"{name} has shape"):
        scan(*inputs)
    with pytest.raises(ValueError, match="h0 has shape"):
        scan(*problem(), torch.zeros(1, 3, 4))
    with pytest.raises(ValueError, match="no step"):
        scan(*problem(length=0))


def block() -> SelectiveScan:
    torch.manual_seed(0)
    return SelectiveScan(6, state=4)


@pytest.mark.parametrize("cuts", [[7], [1] * 12, [2, 3, 7]])
def test_a_block_streams_a_sequence_as_it_answers_the_whole(cuts):
    network, x = block(), torch.randn(2, 12, 6, generator=torch.Generator().manual_seed(0))
    whole, last = network(x)
    answers, state = [], None
    for part in x.split(cuts + [12 - sum(cuts)] * (sum(cuts) < 12), dim=1):
        answer, state = network(part, state)
        answers.append(answer)
    assert torch.allclose(torch.cat(answers, 1), whole, atol=PROMISED)
    assert torch.allclose(state.hidden, last.hidden, atol=PROMISED)
    assert torch.allclose(state.recent, last.recent, atol=PROMISED)


def test_a_block_is_causal():
    network, x = block(), torch.randn(2, 12, 6)
    other = x.clone()
    other[:, 8:] += 1.0
    assert torch.equal(network(x)[0][:, :8], network(other)[0][:, :8])
    assert not torch.allclose(network(x)[0][:, 8], network(other)[0][:, 8])


def test_filling_at_the_end_of_a_row_leaves_its_answers_and_its_state_alone():
    network, x = block(), torch.randn(2, 9, 6)
    mask = torch.arange(9)[None] < torch.tensor([[2], [9]])
    answers, state = network(x, mask=mask)
    alone, expected = network(x[:1, :2])
    assert torch.allclose(answers[:1, :2], alone, atol=PROMISED)
    assert torch.allclose(state.hidden[:1], expected.hidden, atol=PROMISED)
    assert torch.allclose(state.recent[:1], expected.recent, atol=PROMISED)
    assert not torch.allclose(network(x)[1].hidden[0], expected.hidden[0], atol=1e-3)


def test_steps_at_birth_are_spread_over_three_powers_of_ten():
    steps = torch.nn.functional.softplus(block().step.bias)
    assert steps.min().item() == pytest.approx(1e-3, rel=1e-3)
    assert steps.max().item() == pytest.approx(1e-1, rel=1e-3)


def test_blocks_refuse_other_tokens_masks_and_states():
    network, x = block(), torch.zeros(2, 5, 6)
    for wrong in (torch.zeros(2, 5, 7), torch.zeros(5, 6), torch.zeros(2, 0, 6)):
        with pytest.raises(ValueError, match=r"tokens of shape \(b, L >= 1, 6\)"):
            network(wrong)
    with pytest.raises(ValueError, match="filling before a token"):
        network(x, mask=torch.tensor([[True, False, True, True, True]] * 2))
    with pytest.raises(ValueError, match="bools of shape"):
        network(x, mask=torch.ones(2, 4, dtype=torch.bool))
    with pytest.raises(ValueError, match="of another block or batch"):
        network(x, ScanState(torch.zeros(1, 3, 12), torch.zeros(1, 12, 4)))
    with pytest.raises(ValueError, match="kernel=0"):
        SelectiveScan(6, kernel=0)
