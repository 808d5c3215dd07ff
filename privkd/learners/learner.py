"""`NoisyLearner`: what every learner from noisy labels has in common: scikit-learn's contract outside, the one trainer inside."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from accountants import check
from privkd.data.arrays import input_tensor
from privkd.data.labels import ClassesGiven
from privkd.learners.targets import Targets, targets_of
from privkd.networks.prediction import Predictor, eval_mode
from privkd.networks.small import network_for, standardise
from privkd.trainer import Stage, Trainer, seeded


class NoisyLearner(ClassifierMixin, BaseEstimator, ABC):
    """A classifier that learns from labels that may be wrong. A subclass writes `stages`.

    The arguments are stored as they are and checked by `fit`; the module that is handed in is copied, never trained itself.

    Args:
        model: gives logits, shape (b, K); None for a small network that fits the inputs.
        epochs: passes over the rows, >= 1.
        batch_size: rows per step, >= 1.
        optimizer: "adam", or "sgd" with momentum 0.9.
        lr: learning rate, > 0.
        weight_decay: of the optimiser, >= 0. Corrected losses have small gradients where noise is strong; decay then wins.
        classes: number of classes, or what they are called in the order of their indices; None for those in `y`.
        device: see `privkd.trainer.Trainer`.
        seed: of initial weights and orders, >= 0.
        folder: where checkpoints go; a stopped `fit` goes on from there. None keeps nothing.

    Attributes:
        model_: the trained module, in eval mode on the CPU.
        classes_: what the classes are called, by index, shape (K,).
        history_: one dict per epoch: `epoch`, the mean of every loss, and `accuracy` on the validation rows if there are any.
        n_epochs_run_: passes that were made.
        n_features_in_: columns of `X`, where it has two dimensions.
    """

    takes: ClassVar[frozenset[str]] = frozenset()
    """Which of `trusted`, `channel` and `groups` the method uses; `fit` refuses the others."""

    def __init__(
        self,
        model: nn.Module | None = None,
        *,
        epochs: int = 40,
        batch_size: int = 128,
        optimizer: Literal["adam", "sgd"] = "adam",
        lr: float = 2e-3,
        weight_decay: float = 0.0,
        classes: ClassesGiven | None = None,
        device: str = "auto",
        seed: int = 0,
        folder: str | Path | None = None,
    ) -> None:
        self.model = model
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.lr = lr
        self.weight_decay = weight_decay
        self.classes = classes
        self.device = device
        self.seed = seed
        self.folder = folder

    @abstractmethod
    def stages(self, network: nn.Module, inputs: Tensor, targets: Targets, given: Mapping[str, Any]) -> list[Stage]:
        """What is trained.

        Args:
            network: the one to train; its deployed state is what the last stage leaves.
            inputs: float32, shape (n, ...).
            targets: the given labels.
            given: what `fit` got beside them, by name (see `takes`), and `validation`: inputs and class indices, or None.
        """

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        trusted: tuple[Any, Any] | None = None,
        channel: Any = None,
        groups: Any = None,
        X_val: Any = None,
        y_val: Any = None,
    ) -> NoisyLearner:
        """Learn from noisy labels. No true label is read but `trusted`, and `y_val` for the history.

        Args:
            X: inputs, shape (n, ...), as `privkd.load` takes arrays: uint8 is divided by 255.
            y: labels (n,); a `Crowd`; answers (n, R) in whole numbers, -1 where an annotator gave none; or shares (n, K) in floats.
            trusted: inputs and true labels of a few other rows.
            channel: how labels went wrong: (K, K); one per row (n, K, K); one per annotator (R, K, K); or a function from inputs
                (b, ...) to a tensor (b, K, K) or (b, R, K, K). Rows are true classes.
            groups: kind of each annotator, shape (R,).
            X_val: inputs to follow the accuracy on.
            y_val: their labels.

        Raises:
            TypeError, ValueError: an argument or a setting is out of range or not of this method; nothing was trained.
        """
        self._check_settings()
        given = {"trusted": trusted, "channel": channel, "groups": groups}
        for name, value in given.items():
            if value is not None and name not in self.takes:
                raise ValueError(f"{type(self).__name__} does not use {name}; leave it out")
        inputs = _finite_inputs(X, "X")
        wanted = None if channel is None or callable(channel) else np.shape(channel)[-1]
        targets = targets_of(y, self.classes, rows=len(inputs), channel_classes=wanted)
        given["validation"] = self._validation(X_val, y_val, targets)
        with seeded(self.seed):
            network = self._network(inputs, len(targets.classes))
        stages = self.stages(network, inputs, targets, given)
        _require_logits(network, inputs, len(targets.classes), min(self.batch_size, len(inputs)))
        history = self._trainer().run(stages)
        self.model_, self.classes_, self._shape = network, targets.classes, tuple(inputs.shape[1:])
        self.history_ = [{"epoch": place + 1, **row} for place, row in enumerate(history)]
        self.n_epochs_run_ = self.epochs * len(stages)
        if inputs.dim() == 2:
            self.n_features_in_ = inputs.shape[1]
        self._describe(inputs, targets, stages)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest true class of each row, under the names of `classes_`, shape (n,)."""
        likeliest = self.predict_proba(X).argmax(axis=1)  # first, since it refuses a learner that is not fitted
        return self.classes_[likeliest]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the true classes, float64, shape (n, K); rows sum to 1.

        Raises:
            NotFittedError: `fit` was not called.
            ValueError: another shape than that of the training rows, or values that are not finite.
        """
        check_is_fitted(self, "model_")
        return Predictor(self.model_, self._shape).predict_proba(X)

    def optimizer_for(self, network: nn.Module) -> torch.optim.Optimizer:
        """The optimiser of the settings, over all parameters of a network."""
        if self.optimizer == "sgd":
            return torch.optim.SGD(network.parameters(), lr=self.lr, momentum=0.9, weight_decay=self.weight_decay)
        return torch.optim.Adam(network.parameters(), lr=self.lr, weight_decay=self.weight_decay)

    def _describe(self, inputs: Tensor, targets: Targets, stages: Sequence[Stage]) -> None:
        """Set the fitted diagnostics of the method, after training."""

    def _check_settings(self) -> None:
        check.integer(epochs=self.epochs, batch_size=self.batch_size, at_least=1)
        check.integer(seed=self.seed, at_least=0)
        check.real(lr=self.lr, above=0.0)
        check.real(weight_decay=self.weight_decay, at_least=0.0)
        if self.optimizer not in ("adam", "sgd"):
            raise ValueError(f"optimizer={self.optimizer!r} must be 'adam' or 'sgd'")
        if self.model is not None and not isinstance(self.model, nn.Module):
            raise TypeError(
                f"model (a {type(self.model).__name__}) must be a torch.nn.Module that gives logits, or None"
            )

    def _network(self, inputs: Tensor, classes: int) -> nn.Module:
        if self.model is not None:
            return copy.deepcopy(self.model)
        network = network_for(tuple(inputs.shape[1:]), classes)
        standardise(network, inputs)
        return network

    def _trainer(self) -> Trainer:
        return Trainer(
            epochs=self.epochs,
            batch_size=self.batch_size,
            records=self.epochs,
            seed=self.seed,
            device=self.device,
            folder=self.folder,
        )

    def _validation(self, X_val: Any, y_val: Any, targets: Targets) -> tuple[Tensor, Tensor] | None:
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val belong together; give both or none")
        if X_val is None:
            return None
        inputs = _finite_inputs(X_val, "X_val")
        found = targets_of(y_val, targets.classes, rows=len(inputs))
        if found.is_crowd or found.weights is not None:
            raise ValueError("y_val holds answers or shares; give one label per row")
        return inputs, found.answers[:, 0]


def _finite_inputs(X: Any, role: str) -> Tensor:
    inputs = input_tensor(X, role=role)
    if inputs.dim() < 2 or not inputs.numel():
        raise ValueError(
            f"{role}.shape={tuple(inputs.shape)} must be (n, ...) with n >= 1 and a value per row at least"
        )
    wrong = ~torch.isfinite(inputs).flatten(1).all(dim=1)
    if wrong.any():
        raise ValueError(f"{role}[{int(wrong.int().argmax())}] has NaN or infinite values; drop or repair such rows")
    return inputs


def _require_logits(network: nn.Module, inputs: Tensor, classes: int, batch: int) -> None:
    """Refuse a network with another number of classes, and batch normalisation over a single row."""
    with eval_mode(network), torch.no_grad():
        shape = tuple(network(inputs[:2]).shape)
    if shape != (min(2, len(inputs)), classes):
        raise ValueError(
            f"model gives shape {shape} for {min(2, len(inputs))} rows; with {classes} classes each row needs {classes} logits"
        )
    if batch == 1 and any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules()):
        raise ValueError(
            "batches of 1 row cannot be normalised by the model's BatchNorm; give more rows, or a larger batch_size"
        )
