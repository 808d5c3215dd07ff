"""Per-sample gradients of any functional model through `torch.func`."""

from __future__ import annotations

from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from privkd.private_training.clipping.clipped_sum import ClippedSum, clip_samples
from privkd.private_training.clipping.job import Job, Rows

_LARGEST = 1 << 26  # numbers in the per-sample gradients of one chunk: 256 MiB in float32


class _MeanLoss(nn.Module):
    """The loss of one record as a module, so that parameters of the model can be exchanged for a call."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.model = job.model
        self._job = job

    def forward(self, *rows: Tensor) -> tuple[Tensor, Tensor]:
        """Mean loss over the views of one record, twice: to differentiate, and to report."""
        losses = self._job.losses(rows)
        return losses.mean(), losses.detach()


def vectorized(job: Job, rows: Rows) -> ClippedSum:
    """Sum of clipped gradients by `vmap(grad)`, in chunks of bounded memory; random layers draw for each record apart."""
    trained = job.trained()
    wrapped = _MeanLoss(job)
    inside = {f"model.{name}": p.detach() for name, p in trained.items()}

    def loss_of(parameters: dict[str, Tensor], *record: Tensor) -> tuple[Tensor, Tensor]:
        return functional_call(wrapped, parameters, tuple(part.unsqueeze(0) for part in record))

    of_all = vmap(grad(loss_of, has_aux=True), in_dims=(None, *(0,) * len(rows)), randomness="different")
    chunk = max(1, _LARGEST // sum(p.numel() for p in trained.values()))
    parts = []
    for start in range(0, len(rows[0]), chunk):
        samples, losses = of_all(inside, *(part[start : start + chunk] for part in rows))
        named = {name: samples[f"model.{name}"] for name in trained}
        parts.append(clip_samples(named, job.by_record(losses.flatten()), trained, job.rule))
    return sum(parts[1:], parts[0])
