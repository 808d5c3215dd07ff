"""Clients that take turns in one network learn as if each had its own."""

import copy

import pytest
import torch
from federation.clients import Classify, Net, accuracy, rows
from torch import nn

from privkd.federation import FedAvg, FitResult, LocalClient, LocalTraining, run_federation
from privkd.trainer import RowMemory, Trainer
from privkd.trainer.seeding import mixed

TRAINER = Trainer(epochs=2, batch_size=8, device="cpu")


def federated(strategy, *, shared_network, rounds=3):
    model, data = Net(), [rows(24, seed=1), rows(40, seed=2)]
    with TRAINER.session() as session:
        one = LocalTraining(Classify(), session)
        clients = [
            LocalClient(
                one if shared_network else LocalTraining(Classify(), session), x, held_out=rows(50, 9), figures=accuracy
            )
            for x in data
        ]
        history = run_federation(model, clients, strategy, rounds=rounds, seed=5, serialize=True)
    return model, history


@pytest.mark.parametrize("shared", [("*",), ("backbone.*",), ("*.weight",)])
def test_one_network_in_turns_is_as_good_as_one_for_each_client(shared):
    (one, first), (other, second) = (federated(FedAvg(shared=shared), shared_network=way) for way in (True, False))
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name
    assert first.column("accuracy") == second.column("accuracy")
    assert first.column("accuracy")[3] > 0.8


def test_a_round_is_a_run_of_a_trainer_per_client_and_their_mean():
    """The slow twin: a copy of everything for every client, a `Trainer` of its own, and a mean by hand."""
    model, history = federated(FedAvg(), shared_network=True, rounds=1)
    nets = []
    for client, data in enumerate([rows(24, seed=1), rows(40, seed=2)]):
        task = Classify()
        Trainer(epochs=2, batch_size=8, device="cpu", seed=mixed(5, 1, client)).run(task, data)
        nets.append(task.net.state_dict())
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            mean = (24 * nets[0][name].double() + 40 * nets[1][name].double()) / 64
            torch.testing.assert_close(value, mean.float())
    assert model.backbone[1].num_batches_tracked == 0
    assert set(history.rounds[0].training) == {"cross-entropy"}


def test_what_does_not_travel_stays_with_its_client():
    _, history = federated(FedAvg(shared=("backbone.*",)), shared_network=True)
    first, second = history.states[0], history.states[1]
    assert set(first) == {"head.weight", "head.bias", "backbone.1.num_batches_tracked"}
    assert not torch.equal(first["head.weight"], second["head.weight"])
    assert (first["backbone.1.num_batches_tracked"], second["backbone.1.num_batches_tracked"]) == (18, 30)


def test_a_method_sets_up_what_its_task_uses_and_remembers_more():
    class Mimic(Classify):
        teacher = None

        def step(self, batch, context):
            found = super().step(batch, context)
            return {
                **found,
                "apart": (self.modules["net"](batch.tensors[0]) - self.teacher(batch.tensors[0])).square().mean(),
            }

    class Distilling(LocalClient):
        def fit(self, arrays, config, state):
            training = self.training
            training.load(arrays, state)
            task.teacher = copy.deepcopy(training.module).eval().requires_grad_(False)
            made = super().fit(arrays, config, state)
            return FitResult(
                made.arrays, made.weight, made.metrics, {**made.state, "rounds": state.get("rounds", 0) + 1}
            )

    task, model = Mimic(), Net()
    with TRAINER.session() as session:
        training = LocalTraining(task, session, steps=3)
        history = run_federation(
            model, [Distilling(training, rows())], FedAvg(), rounds=4, eval_every=None, serialize=True
        )
    assert history.states[0]["rounds"] == 4
    assert set(history.rounds[-1].training) == {"cross-entropy", "apart"}


def test_a_client_without_held_out_rows_cannot_be_evaluated():
    with TRAINER.session() as session:
        client = LocalClient(LocalTraining(Classify(), session), rows())
        with pytest.raises(
            ValueError, match="no held-out rows; give held_out and figures, or run with eval_every=None"
        ):
            run_federation(Net(), [client], FedAvg(), rounds=1)


@pytest.mark.parametrize(
    "options", [{"memories": {"loss": RowMemory(4)}}, {"averaged": {"net": 0.9}}, {"schedulers": ["one"]}]
)
def test_what_would_go_from_one_client_to_the_next_is_refused(options):
    with TRAINER.session() as session, pytest.raises(ValueError, match=next(iter(options))):
        LocalTraining(Classify(**options), session)


def test_bad_input_is_refused():
    class Two(Classify):
        def __init__(self):
            super().__init__()
            self.modules["other"] = nn.Linear(1, 1)

    with TRAINER.session() as session:
        with pytest.raises(ValueError, match=r"has the modules \['net', 'other'\]"):
            LocalTraining(Two(), session)
        with pytest.raises(ValueError, match="steps"):
            LocalTraining(Classify(), session, steps=0)
        training = LocalTraining(Classify(), session)
        with pytest.raises(ValueError, match="no rows"):
            LocalClient(training, tuple(column[:0] for column in rows()))
        with pytest.raises(TypeError, match="data is list"):
            LocalClient(training, [1, 2])
        with pytest.raises(ValueError, match="belong together"):
            LocalClient(training, rows(), held_out=rows())
