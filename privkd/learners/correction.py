"""Learning by forward correction: the classifier's answer is sent through the channel before it is compared with given labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from privkd.data.kinds.crowd import Crowd
from privkd.learners.aggregation import dawid_skene
from privkd.learners.learner import NoisyLearner
from privkd.learners.targets import ChannelOf, Targets
from privkd.losses.correction import forward_nll, posterior
from privkd.networks.prediction import Predictor
from privkd.trainer import Batch, Context, Stage, Task
from privkd.trainer.task import Losses

_SMOOTHING = 0.1  # answers that each cell of an estimated channel starts with
_ROWS = 512  # at a time, after training


class CorrectedLikelihood(Task):
    """The likelihood of given labels under a classifier of true classes and a channel.

    Its data have the columns "input" and "answers" (n, R), and may have "weight" (n, R), of the answers, and "channel"
    (n, R or 1, K, K), of the rows.

    Args:
        network: gives logits, shape (b, K).
        optimizer: over its parameters.
        channel: (K, K), or (R, K, K) of annotators; a function of the inputs; None where every row brings its own.
        validation: inputs and class indices whose accuracy is followed, or None.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        channel: Tensor | ChannelOf | None,
        *,
        validation: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        super().__init__(modules={"network": network}, optimizers={"network": optimizer})
        self.channel, self.validation = channel, validation

    def step(self, batch: Batch, context: Context) -> Losses:
        inputs, answers = batch["input"], batch["answers"]
        channel = fitting(batch["channel"] if self.channel is None else self.channel, inputs, answers.shape[1])
        logits = self.modules["network"](inputs)
        weights = batch["weight"] if "weight" in batch.columns else None
        return {"forward": forward_nll(logits, answers, channel, weights=weights)}

    def validate(self, context: Context) -> Mapping[str, float]:
        """The share of validation rows whose likeliest true class is their label."""
        if self.validation is None:
            return {}
        inputs, labels = self.validation
        parts = [self.modules["network"](part.to(context.device)).argmax(dim=1).cpu() for part in inputs.split(_ROWS)]
        return {"accuracy": float((torch.cat(parts) == labels).double().mean())}


class ForwardCorrection(NoisyLearner):
    """A classifier of true classes from noisy labels whose channel is known, or from a crowd: forward correction.

    Minimises -log of the probability (p T)[label] of every given label, averaged over labels, where p is the classifier's answer
    and T the channel. Its minimum is the classifier of clean labels where T is right. Without a channel the answers of a crowd get
    one per annotator by Dawid and Skene's method; single labels need one.

    After `privkd.mechanisms.KaryResponse(eps0, K)` the channel is known exactly: `response_channel(K, eps0)`. Learning from labels
    that were drawn so, and from public inputs, costs no further privacy.

    Args and fitted attributes as `NoisyLearner`, and:

    Attributes:
        transition_: the channel that was used, float64 array, or the function.
        label_posterior_: probability of each true class for each training row given x and its labels, shape (n, K); not for soft
            labels.

    Source: Patrini et al., arXiv 1609.03683; crowds: Rodrigues and Pereira, AAAI 2018, with channels that are fixed here.

    Example:
        >>> import numpy as np
        >>> from privkd.learners import symmetric_channel
        >>> X = np.array([[0.0, 1.0], [1.0, 0.0]] * 20)
        >>> y = np.array([0, 1] * 18 + [1, 0] * 2)
        >>> ForwardCorrection(epochs=60).fit(X, y, channel=symmetric_channel(2, 0.1)).predict(X[:2]).tolist()
        [0, 1]
    """

    takes = frozenset({"channel"})

    def stages(self, network: nn.Module, inputs: Tensor, targets: Targets, given: Mapping[str, Any]) -> list[Stage]:
        channel = self._used(given["channel"], targets)
        columns = {"input": inputs, "answers": targets.answers}
        if targets.weights is not None:
            columns["weight"] = targets.weights
        if isinstance(channel, Tensor) and channel.dim() == 4:
            columns["channel"], channel = channel, None
        task = CorrectedLikelihood(network, self.optimizer_for(network), channel, validation=given["validation"])
        return [Stage("correction", task, columns)]

    def _used(self, channel: Any, targets: Targets) -> Tensor | ChannelOf:
        if channel is not None:
            return cast("ChannelOf", channel) if callable(channel) else targets.channel(channel)
        if not targets.is_crowd:
            raise ValueError(
                "channel is missing: forward correction of single labels must know how they went wrong, for example "
                "channel=symmetric_channel(K, rate), or response_channel(K, eps0) of randomized labels"
            )
        crowd = Crowd.from_dense(targets.answers, "y", class_names=tuple(map(str, targets.classes)))
        return torch.from_numpy(dawid_skene(crowd, smoothing=_SMOOTHING).channels).float()

    def _describe(self, inputs: Tensor, targets: Targets, stages: Sequence[Stage]) -> None:
        columns, task = cast("Mapping[str, Tensor]", stages[0].data), cast("CorrectedLikelihood", stages[0].task)
        channel = columns["channel"] if task.channel is None else task.channel
        self.transition_ = channel.double().numpy() if isinstance(channel, Tensor) else channel
        if targets.weights is not None:
            return
        beliefs = torch.from_numpy(Predictor(self.model_, tuple(inputs.shape[1:])).predict_proba(inputs))
        found = []
        for rows in torch.arange(len(inputs)).split(_ROWS):
            answers = targets.answers[rows]
            with torch.no_grad():
                part = fitting(
                    columns["channel"][rows] if task.channel is None else channel, inputs[rows], answers.shape[1]
                )
            found.append(posterior(beliefs[rows], answers, part))
        self.label_posterior_ = torch.cat(found).numpy()


def fitting(channel: Tensor | ChannelOf, inputs: Tensor, annotators: int) -> Tensor:
    """The channel of a batch of answers (b, R) as the losses take it.

    Args:
        channel: (K, K); (R, K, K) of annotators; (b, R or 1, K, K) of rows; or a function that gives (b, K, K) or (b, R, K, K).
        inputs: of the batch, on whose device the channel is wanted.
        annotators: R.
    """
    if not isinstance(channel, Tensor):
        made = channel(inputs)
        return made if made.dim() == 4 else made[:, None].expand(-1, annotators, -1, -1)
    moved = channel.to(inputs.device)
    if moved.dim() == 3:
        moved = moved[None]
    return moved if moved.dim() == 2 else moved.expand(len(inputs), annotators, -1, -1)
