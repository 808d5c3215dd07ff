"""Clients of this program that train with the one Trainer, in one session and one network that they take turns in."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from accountants import check
from privkd.federation.contracts import Arrays, EvalResult, FitResult, Scalar, State
from privkd.federation.exchange import copied, copied_state, load_arrays
from privkd.networks.prediction import eval_mode
from privkd.trainer.batch import Data
from privkd.trainer.batches.datasets import require_data, rows_of
from privkd.trainer.session import Session
from privkd.trainer.task import Task

Figures = Callable[[nn.Module, Data], Mapping[str, float]]
"""From a module in eval mode and rows to figures of merit by name."""


class LocalTraining:
    """What the clients of one program take turns in: a task, whose module gets the weights of whoever's turn it is.

    Nothing of one client's turn is left in the next one's: every entry of the module is set, from the common arrays, from the
    client's own state, or else as it was in the beginning, and optimisers forget what they remember.

    Args:
        task: with one module; it holds no rows. Modules that change from round to round, such as a copy of what was received, may
            be used by it, but not be given as `frozen`, which a session proves unchanged.
        session: of the trainer whose steps or epochs are those of one round.
        steps: of one round; None for the trainer's own.

    Raises:
        ValueError: the task has several modules, or remembers more than its modules: memories, averages or schedulers.
    """

    def __init__(self, task: Task, session: Session, *, steps: int | None = None) -> None:
        kept = [name for name in ("memories", "averaged", "schedulers") if getattr(task, name)]
        if len(task.modules) != 1 or kept:
            raise ValueError(
                f"{type(task).__name__} has the modules {list(task.modules)}{''.join(f' and {name}' for name in kept)}; clients "
                "take turns in one module and in nothing else: put the modules into an nn.ModuleDict, and use a schedule for rates"
            )
        if steps is not None:
            check.integer(steps=steps, at_least=1)
        ((self._name, self.module),) = task.modules.items()
        self._task, self._session, self._steps = task, session, steps
        self._start = copied(self.module.state_dict())

    def load(self, arrays: Arrays, state: State) -> None:
        """Give the module to a client: the common arrays, what it has of its own, and the beginning of everything else."""
        own = {name: value for name, value in state.items() if name in self._start and isinstance(value, Tensor)}
        load_arrays(self.module, {**self._start, **own, **arrays})

    def train(self, data: Data, seed: int) -> dict[str, float]:
        """Train the module on a client's rows for a round; gives the latest means of losses and logs."""
        for optimizer in self._task.optimizers.values():
            optimizer.state.clear()
        history = self._session.run(self._task, data, steps=self._steps, seed=seed)
        return {name: value for name, value in history[-1].items() if name != "step"}


class LocalClient:
    """A client with rows, which trains by `Trainer` steps and keeps what does not travel in its state.

    A method with more than that overrides `fit`: it sets up what the task uses of `arrays`, `config` and `state`, calls this one,
    and adds to the state of the result under names of its own.

    Args:
        training: shared by the clients.
        data: rows to train on, as for `Trainer.run`.
        held_out: rows to test on; None for a client that cannot be evaluated.
        figures: of the evaluation, for example the accuracy; needed with `held_out`.

    Raises:
        TypeError: the data are none.
        ValueError: there are no rows, or only one of `held_out` and `figures` is given.
    """

    def __init__(
        self, training: LocalTraining, data: Data, *, held_out: Data | None = None, figures: Figures | None = None
    ) -> None:
        for rows in (data,) if held_out is None else (data, held_out):
            require_data(rows)
            if not rows_of(rows):
                raise ValueError("a client has no rows; leave it out, or give every client at least one")
        if (held_out is None) != (figures is None):
            raise ValueError("held_out and figures belong together: give both, or none for a client without evaluation")
        self.training, self.data, self.held_out, self.figures = training, data, held_out, figures

    def fit(self, arrays: Arrays, config: Mapping[str, Scalar], state: State) -> FitResult:
        """Train on the client's rows, starting from the common arrays and from what the client has of its own."""
        training = self.training
        training.load(arrays, state)
        metrics = training.train(self.data, int(config["seed"]))
        entries = training.module.state_dict()
        own = {name: value for name, value in entries.items() if name not in arrays}
        sent = copied({name: entries[name] for name in arrays})
        return FitResult(sent, float(rows_of(self.data)), metrics, copied_state(own))

    def evaluate(self, arrays: Arrays, config: Mapping[str, Scalar], state: State) -> EvalResult:
        """Figures of the common arrays, with what the client has of its own, on the held-out rows.

        Raises:
            ValueError: there are none.
        """
        if self.held_out is None or self.figures is None:
            raise ValueError("a client has no held-out rows; give held_out and figures, or run with eval_every=None")
        self.training.load(arrays, state)
        with eval_mode(self.training.module):
            found = self.figures(self.training.module, self.held_out)
        return EvalResult({name: float(value) for name, value in found.items()}, float(rows_of(self.held_out)))
