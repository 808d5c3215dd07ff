"""Softmax regression on whitened features: private statistics, then private gradients, all in one ledger."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from accountants import Event, Gaussian, Ledger, calibrate
from privkd.certificates.certificate import Certificate
from privkd.mechanisms import BoundedSum, NoiseSource
from privkd.private_training import PrivateGradients
from privkd.trainer import Batch, Context, Task, Trainer

DELTA = 1e-5
CLASSES = 10
_AT_ONCE = 500
_SMALLEST = 1e-6


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One run.

    Attributes:
        statistics: noise of the private mean and of the private covariance / bound; None for neither of them.
        ridge: added to the eigenvalues of the covariance, in units of their mean.
        rate: step size in units of clipped gradients, i.e. the learning rate times `clip`.
        clip: L2 norm of gradients.
        bias: constant input.
        batch: records per step, on average.
        steps: of the run.
        decay: of the moving average of the weights, which is what is evaluated.
    """

    statistics: float | None
    ridge: float
    rate: float
    clip: float
    bias: float
    batch: int = 8192
    steps: int = 150
    decay: float = 0.95


_GREY_1 = Settings(statistics=20.0, ridge=1.0, rate=30.0, clip=0.1, bias=0.3)
_GREY_3 = Settings(statistics=10.0, ridge=1.0, rate=60.0, clip=0.03, bias=0.3)
SETTINGS = {
    ("mnist", 1.0): _GREY_1,
    ("mnist", 3.0): _GREY_3,
    ("fashion", 1.0): _GREY_1,
    ("fashion", 3.0): _GREY_3,
    ("cifar", 1.0): Settings(statistics=20.0, ridge=10.0, rate=8.0, clip=0.1, bias=0.1),
    ("cifar", 3.0): Settings(statistics=8.0, ridge=3.0, rate=20.0, clip=0.1, bias=0.1),
}
"""Chosen on the last 10000 TRAINING records of each set; looking at them is not part of any epsilon."""


def multiplier(settings: Settings, epsilon: float, rows: int) -> float:
    """Noise of the gradients / clip so that statistics and gradients together cost at most epsilon at DELTA."""
    statistics = None if settings.statistics is None else BoundedSum(settings.statistics).event("add-remove") * 2

    def event(sigma: float) -> Event:
        gradients = Gaussian(sigma).poisson(min(1.0, settings.batch / rows)) * settings.steps
        return gradients if statistics is None else statistics + gradients

    return calibrate(event, epsilon, DELTA, adjacency="add-remove").value


def whitened(values: Tensor, training: int, settings: Settings, *, ledger: Ledger, noise: NoiseSource) -> Tensor:
    """Inputs of the model: centred, channels decorrelated, unit norm, and the constant; with noisy statistics.

    Every record is scaled to norm 1 before each of the two releases, so that 1 bounds its influence on the mean and on the
    covariance of channels: |z z^T| is |z|^2 in Frobenius norm. The inverse root of the covariance is public after that.

    Args:
        values: features, shape (n, channels, height, width), training records first.
        training: number of training records, which alone the statistics are made from.
        settings: `statistics` and `ridge` are used; None for `statistics` leaves values scaled, no more.
        ledger: is charged twice.
        noise: of the releases.

    Returns:
        float16, shape (n, channels * height * width + 1).
    """
    channels = values.shape[1]
    mean: Tensor | float = 0.0
    matrix = torch.eye(channels)
    if settings.statistics is not None:
        release = BoundedSum(settings.statistics).release
        rows = (chunk.flatten(1) for chunk in _scaled(values[:training], 0.0))
        total = release(rows, bound=1.0, ledger=ledger, noise=noise, where="mean of features")
        mean = (total / training).float().reshape(values.shape[1:])
        rows = (_triangle(chunk) for chunk in _scaled(values[:training], mean))
        total = release(rows, bound=1.0, ledger=ledger, noise=noise, where="covariance of channels")
        matrix = _inverse_root(total / training, channels, settings.ridge)
    made = torch.empty(len(values), values[0].numel() + 1, dtype=torch.float16)
    made[:, -1] = settings.bias
    for place, chunk in enumerate(_scaled(values, mean)):
        rows = (matrix @ chunk.flatten(2)).flatten(1)
        made[place * _AT_ONCE : place * _AT_ONCE + len(rows), :-1] = functional.normalize(rows, eps=_SMALLEST)
    return made


def _scaled(values: Tensor, mean: Tensor | float) -> Iterator[Tensor]:
    """Chunks of records of norm 1: scaled, centred, and scaled again."""
    for chunk in values.split(_AT_ONCE):
        rows = functional.normalize(chunk.float().flatten(1), eps=_SMALLEST).reshape(chunk.shape)
        yield functional.normalize((rows - mean).flatten(1), eps=_SMALLEST).reshape(chunk.shape)


def _triangle(chunk: Tensor) -> Tensor:
    """Upper triangle of z z^T of every record, off-diagonals times sqrt(2): as long as the whole matrix."""
    channels = chunk.shape[1]
    row, column = torch.triu_indices(channels, channels)
    rows = chunk.flatten(2)
    products = (rows @ rows.mT).flatten(1)
    return products[:, row * channels + column] * torch.where(row == column, 1.0, 2.0**0.5)


def _inverse_root(triangle: Tensor, channels: int, ridge: float) -> Tensor:
    """(S + ridge / channels)^(-1/2), where S has trace 1 but for the noise, and negative eigenvalues count as 0."""
    row, column = torch.triu_indices(channels, channels)
    matrix = torch.zeros(channels, channels, dtype=torch.float64)
    matrix[row, column] = matrix[column, row] = triangle / torch.where(row == column, 1.0, 2.0**0.5)
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * (values.clamp(min=0.0) + ridge / channels).rsqrt() @ vectors.T).float()


class Softmax(Task):
    """Softmax regression from zero weights: momentum, a constant rate that falls to zero at the end, a moving average."""

    def __init__(self, width: int, settings: Settings) -> None:
        head = nn.Linear(width, CLASSES, bias=False)
        nn.init.zeros_(head.weight)
        optimizer = torch.optim.SGD(head.parameters(), lr=settings.rate / settings.clip, momentum=0.9)
        steps = settings.steps
        late = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (steps - step) / (0.3 * steps)))
        averaged = {"head": settings.decay}
        super().__init__(modules={"head": head}, optimizers=[optimizer], schedulers=[late], averaged=averaged)

    def per_record(self, batch: Batch, context: Context) -> dict[str, Tensor]:
        """Cross-entropy of every record."""
        inputs, labels = batch.tensors
        logits = self.modules["head"](inputs.float())
        return {"cross-entropy": functional.cross_entropy(logits, labels, reduction="none")}


@dataclass(frozen=True)
class Outcome:
    """What a run gives: accuracy on the records after the training records, and what it costs."""

    accuracy: float
    certificate: Certificate


def run(
    values: Tensor,
    labels: Tensor,
    training: int,
    settings: Settings,
    *,
    sigma: float,
    noise: NoiseSource,
    threads: int = 1,
) -> Outcome:
    """Train on the first records, evaluate on the others.

    Args:
        values: features, shape (n, channels, height, width).
        labels: int64, shape (n,).
        training: number of training records.
        settings: of the run.
        sigma: noise of the gradients / clip, see `multiplier`.
        noise: of everything.
        threads: of the training.
    """
    ledger = Ledger(adjacency="add-remove", delta=DELTA, n=training)
    inputs = whitened(values, training, settings, ledger=ledger, noise=noise)
    task = Softmax(inputs.shape[1], settings)
    privacy = PrivateGradients(multiplier=sigma, delta=DELTA, clip=settings.clip, source=noise)
    trainer = Trainer(
        steps=settings.steps,
        batch_size=settings.batch,
        privacy=privacy,
        ledger=ledger,
        device="cpu",
        threads=threads,
    )
    certificate = trainer.run(task, (inputs[:training], labels[:training])).certificate
    gc.collect()  # a run that is over refers to itself, and would keep half a gigabyte of rows for a while
    if certificate is None:
        raise RuntimeError("a private run gave no certificate")
    head = task.averages["head"]
    with torch.no_grad():
        answers = torch.cat([head(chunk.float()).argmax(dim=1) for chunk in inputs[training:].split(_AT_ONCE)])
    return Outcome(float((answers == labels[training:]).double().mean()), certificate)
