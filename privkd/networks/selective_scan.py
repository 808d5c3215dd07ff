"""The selective state space of Mamba in plain torch: a recurrence over a sequence whose state can be carried on."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from accountants import check

_LONGEST_LOOP = 512  # steps; above, chunks are faster
_CHUNK = 64  # steps
_SMALLEST_STEP, _LARGEST_STEP = 1e-3, 1e-1  # Delta at birth


def scan(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, h0: Tensor | None = None, *, chunk: int | None = None
) -> tuple[Tensor, Tensor]:
    """The recurrence h_i = exp(delta_i A) h_{i-1} + delta_i B_i u_i and its read-out y_i = <C_i, h_i>, in float32.

    Where delta is 0 the state stays as it is, so that filling can be left out of a sequence.

    Args:
        u: input, shape (b, L, E).
        delta: step sizes, >= 0, shape (b, L, E).
        A: rates, negative, shape (E, N).
        B: how the input enters the state, shape (b, L, N).
        C: how the state is read, shape (b, L, N).
        h0: state before the first step, shape (b, E, N); None for zero.
        chunk: steps that are taken at once; 0 for one after the other; None for what is fast: a loop up to 512 steps, chunks
            of 64 above.

    Returns:
        y, shape (b, L, E), and the last state, shape (b, E, N).

    Raises:
        ValueError: shapes that do not belong together, or no step.

    Source: Gu and Dao, arXiv 2312.00752, equation 2 with the simplified rule for B.

    Example:
        >>> one = torch.ones(1, 3, 1)
        >>> y, h = scan(one, one, -math.log(2) * torch.ones(1, 1), one, one)
        >>> y.flatten().tolist(), h.item()
        ([1.0, 1.5, 1.75], 1.75)
    """
    b, length, channels = u.shape
    states = A.shape[1]
    wanted = {"delta": (delta, u.shape), "A": (A, (channels, states))}
    wanted |= {"B": (B, (b, length, states)), "C": (C, (b, length, states))}
    if h0 is not None:
        wanted["h0"] = (h0, (b, channels, states))
    for name, (tensor, shape) in wanted.items():
        if tensor.shape != torch.Size(shape):
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}; u {tuple(u.shape)} and A need {tuple(shape)}")
    if not length:
        raise ValueError("u has no step; a sequence needs at least one")
    u, delta, A, B, C = (tensor.float() for tensor in (u, delta, A, B, C))
    state = u.new_zeros(b, channels, states) if h0 is None else h0.float()
    chunk = (_CHUNK if length > _LONGEST_LOOP else 0) if chunk is None else chunk
    check.integer(chunk=chunk, at_least=0)
    answers = []
    for start in range(0, length, chunk or 1):
        steps = slice(start, start + (chunk or 1))
        decay = delta[:, steps, :, None] * A  # the logarithm, (b, steps, E, N)
        entering = (delta * u)[:, steps, :, None] * B[:, steps, None]
        found = _prefixes(decay, entering, state) if chunk else state[:, None] * decay.exp() + entering
        answers.append(torch.einsum("blen,bln->ble", found, C[:, steps]))
        state = found[:, -1]
    return torch.cat(answers, dim=1), state


def _prefixes(decay: Tensor, entering: Tensor, state: Tensor) -> Tensor:
    """All states of a chunk by doubling: after k rounds each covers 2^k steps.

    Decays are added as logarithms and never divided by, so that strong ones vanish instead of overflowing.
    """
    entering = torch.cat([entering[:, :1] + decay[:, :1].exp() * state[:, None], entering[:, 1:]], dim=1)
    reach, length = 1, decay.shape[1]
    while reach < length:
        before = functional.pad(entering[:, :-reach], (0, 0, 0, 0, reach, 0))
        entering = entering + decay.exp() * before
        decay = decay + functional.pad(decay[:, :-reach], (0, 0, 0, 0, reach, 0))
        reach *= 2
    return entering


class ScanState(NamedTuple):
    """What a `SelectiveScan` carries from one part of a sequence to the next.

    Attributes:
        recent: the last inputs of the convolution, shape (b, kernel - 1, E).
        hidden: the state of the recurrence, shape (b, E, N).
    """

    recent: Tensor
    hidden: Tensor


class SelectiveScan(nn.Module):
    """The Mamba block: a causal convolution over the sequence, a selective scan, and a gate.

    A sequence that is given in parts, with the state carried on, has the answers of the whole.

    Args:
        dim: size d of a token.
        state: size N of the state per channel.
        expand: channels E of the scan, in multiples of d.
        kernel: length of the convolution.

    Raises:
        ValueError: a size below 1; in `forward`, tokens, a mask or a state of another shape, or a gap in the mask.

    Source: Gu and Dao, arXiv 2312.00752, figure 3; step sizes at birth are spread evenly over [0.001, 0.1] in their logarithm.

    Example:
        >>> block, x = SelectiveScan(8, 4), torch.rand(2, 6, 8)
        >>> whole, _ = block(x)
        >>> first, state = block(x[:, :2])
        >>> bool(torch.allclose(torch.cat([first, block(x[:, 2:], state)[0]], 1), whole, atol=1e-6))
        True
    """

    def __init__(self, dim: int, state: int = 16, expand: int = 2, kernel: int = 4) -> None:
        check.integer(dim=dim, state=state, expand=expand, kernel=kernel, at_least=1)
        super().__init__()
        inner, rank = expand * dim, -(-dim // 16)
        self.sizes = (rank, state, state)
        self.enter = nn.Linear(dim, 2 * inner, bias=False)
        self.convolve = nn.Conv1d(inner, inner, kernel, groups=inner)
        self.select = nn.Linear(inner, rank + 2 * state, bias=False)
        self.step = nn.Linear(rank, inner)
        steps = torch.logspace(math.log10(_SMALLEST_STEP), math.log10(_LARGEST_STEP), inner)
        self.step.bias.data.copy_(steps.expm1().log())  # softplus gives the steps
        self.log_rates = nn.Parameter(torch.arange(1.0, state + 1).log().repeat(inner, 1))
        self.skip = nn.Parameter(torch.ones(inner))
        self.leave = nn.Linear(inner, dim, bias=False)

    def forward(
        self, x: Tensor, state: ScanState | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, ScanState]:
        """Tokens, shape (b, L, d), and the state after the last of them.

        Args:
            x: tokens, shape (b, L, d).
            state: what the sequences so far left behind; None at their beginning.
            mask: bool, shape (b, L), False for filling at the end of a row, whose answers mean nothing; None for no filling.
        """
        if x.dim() != 3 or x.shape[2] != self.enter.in_features or not x.shape[1]:
            raise ValueError(
                f"x has shape {tuple(x.shape)}; tokens of shape (b, L >= 1, {self.enter.in_features}) are needed"
            )
        values, gate = self.enter(x).chunk(2, dim=2)
        kept = self.convolve.kernel_size[0] - 1
        recent = values.new_zeros(x.shape[0], kept, values.shape[2]) if state is None else state.recent
        if recent.shape != (x.shape[0], kept, values.shape[2]):
            raise ValueError(f"the state is of {len(recent)} sequences of another block or batch; x has {len(x)} rows")
        padded = torch.cat([recent, values], dim=1)
        u = functional.silu(self.convolve(padded.transpose(1, 2)).transpose(1, 2))
        step, B, C = self.select(u).split(self.sizes, dim=2)
        delta = functional.softplus(self.step(step))
        if mask is not None:
            delta = delta * _without_gaps(mask, x)[:, :, None]
        y, hidden = scan(u, delta, -self.log_rates.exp(), B, C, None if state is None else state.hidden)
        y = (y + self.skip * u).to(x.dtype)
        return self.leave(y * functional.silu(gate)), ScanState(_last(padded, kept, mask), hidden)


def _without_gaps(mask: Tensor, x: Tensor) -> Tensor:
    if mask.shape != x.shape[:2] or mask.dtype != torch.bool:
        raise ValueError(
            f"mask has shape {tuple(mask.shape)} and {mask.dtype}; bools of shape {tuple(x.shape[:2])} are needed"
        )
    if bool((mask[:, 1:] & ~mask[:, :-1]).any()):
        raise ValueError("mask has filling before a token; put it at the end of its row")
    return mask


def _last(padded: Tensor, kept: int, mask: Tensor | None) -> Tensor:
    """The last inputs of every row that are no filling."""
    if mask is None:
        return padded[:, padded.shape[1] - kept :]
    places = mask.sum(dim=1)[:, None] + torch.arange(kept, device=padded.device)
    return padded.gather(1, places[:, :, None].expand(-1, -1, padded.shape[2]))
