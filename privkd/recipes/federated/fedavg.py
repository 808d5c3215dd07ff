"""FedAvg: federated averaging over simulated clients with skewed classes (McMahan et al., AISTATS 2017, arXiv 1602.05629).

From the paper: rounds of local SGD from common weights, a fraction of the clients in each, and means weighted by rows. Ours: the
clients, made from one data set by a Dirichlet draw per class, and the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from accountants import check
from privkd.data.bundled import all_digits
from privkd.data.records import Records
from privkd.federation.local_training import LocalClient, LocalTraining
from privkd.federation.partition import Partition
from privkd.federation.partitioning import dirichlet
from privkd.federation.rounds import FederationHistory, run_federation
from privkd.federation.strategy import FedAvg, Strategy
from privkd.losses import cross_entropy
from privkd.metrics.federated import personalisation, reweighted_accuracy
from privkd.networks import network_for
from privkd.plain import make_plain
from privkd.recipes.baselines.classifier import accuracy, require_labels
from privkd.recipes.card import Card
from privkd.recipes.catalogue import register
from privkd.recipes.recipe import Recipe
from privkd.trainer.batch import Batch, Data
from privkd.trainer.batches.datasets import columns_of
from privkd.trainer.context import Context
from privkd.trainer.seeding import seeded
from privkd.trainer.task import Losses, Task
from privkd.trainer.trainer import Trainer

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class FedAvgConfig:
    """Settings; the defaults take some seconds on the bundled digits.

    Attributes:
        clients: how many there are, >= 2.
        alpha: of the Dirichlet draw of each class over the clients, > 0; small ones give clients of few classes each.
        min_size: rows that every client has at least, >= 2.
        split_seed: of who holds which rows; the seed of the run does not move it.
        held_out: of each client's rows, kept to test on, in (0, 1).
        fraction: of the clients that take part in a round, in (0, 1].
        rounds: >= 1.
        local_epochs: passes of a client over its rows in a round, >= 1.
        batch_size: rows per step of a client, >= 1.
        lr: learning rate of the clients' plain SGD, > 0.
        width: hidden units of the perceptron, >= 1.

    Raises:
        TypeError, ValueError: a field is out of range.
    """

    clients: int = 10
    alpha: float = 0.3
    min_size: int = 10
    split_seed: int = 0
    held_out: float = 0.2
    fraction: float = 1.0
    rounds: int = 20
    local_epochs: int = 2
    batch_size: int = 32
    lr: float = 0.5
    width: int = 64

    def __post_init__(self) -> None:
        make_plain(self)
        check.integer(clients=self.clients, min_size=self.min_size, at_least=2)
        check.integer(split_seed=self.split_seed, at_least=0)
        check.integer(
            rounds=self.rounds,
            local_epochs=self.local_epochs,
            batch_size=self.batch_size,
            width=self.width,
            at_least=1,
        )
        check.real(alpha=self.alpha, lr=self.lr, above=0.0)
        check.real(held_out=self.held_out, above=0.0, below=1.0)
        check.real(fraction=self.fraction, above=0.0, at_most=1.0)


class LocalClassification(Task):
    """Cross-entropy of one network by plain SGD, which has nothing to remember from round to round.

    Args:
        network: gives logits, shape (b, K).
        lr: learning rate.
    """

    def __init__(self, network: nn.Module, *, lr: float) -> None:
        super().__init__(
            modules={"network": network}, optimizers={"network": torch.optim.SGD(network.parameters(), lr=lr)}
        )

    def per_record(self, batch: Batch, context: Context) -> Losses:
        logits = self.modules["network"](batch["input"])
        return {"cross-entropy": cross_entropy(logits, batch["label"], reduction="none")}


@dataclass(frozen=True)
class Federated:
    """What a federation has learned.

    Attributes:
        network: with the common weights of the last round.
        history: of its rounds.
        train: rows that the clients have trained on.
        test: rows that they have tested on.
    """

    network: nn.Module
    history: FederationHistory
    train: Partition
    test: Partition


def federate(config: FedAvgConfig, records: Records, strategy: Strategy, *, seed: int) -> Federated:
    """Divide records among clients and let them train one network under a strategy.

    Args:
        config: of clients, network and training; its `fraction` is the strategy's business.
        records: labelled.
        strategy: of the server.
        seed: of fresh weights and of everything that is drawn in the rounds.

    Raises:
        ValueError: the records have no labels or one class only, or cannot be divided like this.
    """
    require_labels(records)
    assert records.labels is not None
    if len(records.labels.unique()) < 2:
        raise ValueError(f"records {records.name!r} have rows of one class only; clients that differ need at least two")
    whole = dirichlet(
        records.labels, config.clients, alpha=config.alpha, min_size=config.min_size, seed=config.split_seed
    )
    train, test = whole.held_out(records.labels, config.held_out, seed=config.split_seed, classes=records.classes)
    with seeded(seed):
        network = network_for(records.shape, records.classes, network="mlp", hidden=config.width)
    trainer = Trainer(epochs=config.local_epochs, batch_size=config.batch_size, device="cpu", records=1)
    with trainer.session() as session:
        training = LocalTraining(LocalClassification(network, lr=config.lr), session)
        clients = [
            LocalClient(training, records.take(mine), held_out=records.take(tested), figures=figures)
            for mine, tested in zip(train.rows, test.rows, strict=True)
        ]
        history = run_federation(network, clients, strategy, rounds=config.rounds, seed=seed)
    return Federated(network.eval(), history, train, test)


def figures(network: nn.Module, data: Data) -> Mapping[str, float]:
    """Accuracy on the columns "input" and "label"."""
    columns = columns_of(data)
    assert isinstance(columns, dict)
    return {"accuracy": accuracy(network, columns["input"], columns["label"])}


def evaluate(products: Mapping[str, Any], records: Records) -> dict[str, float]:
    """Accuracies of the common network on labelled records that no client had.

    `accuracy` over all of them. `inside` is the mean over the clients of the accuracy to be expected on their own mix of classes,
    `worst_tenth` that of their worst tenth, and `outside` on what they have little of; these are left out where a class has no
    records.
    """
    require_labels(records)
    assert records.labels is not None
    right = _right(products["network"], records.inputs, records.labels)
    found = {"accuracy": float(right.mean())}
    counts = products["clients"]["counts"].numpy()
    rows = torch.bincount(records.labels, minlength=counts.shape[1]).numpy()
    if len(rows) > counts.shape[1] or (rows == 0).any():
        return found
    of_class = np.bincount(records.labels.numpy(), weights=right.numpy()) / rows
    each = [reweighted_accuracy(of_class, mine) for mine in counts]
    own = personalisation([min(one.inside, 1.0) for one in each], counts.sum(axis=1))
    outside = float(np.mean([one.outside for one in each]))
    return {**found, "inside": own.mean, "worst_tenth": own.worst_tenth, "outside": outside}


@torch.no_grad()
def _right(network: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    """Whether the largest logit of each row is that of its class, float64."""
    parts = zip(inputs.split(1000), labels.split(1000), strict=True)
    return torch.cat([network(x).argmax(dim=1) == y for x, y in parts]).double()


def picture(products: Mapping[str, Any], records: Records) -> Figure:
    """Who has how many rows of which class, and the accuracy on the clients' own held-out rows over the rounds."""
    from matplotlib.figure import Figure

    counts, course = products["clients"]["counts"], products["clients"]["accuracy"]
    figure = Figure(figsize=(9, 4), layout="constrained")
    table, curve = figure.subplots(1, 2)
    image = table.imshow(counts.numpy(), aspect="auto", cmap="Blues")
    table.set(xlabel="class", ylabel="client", title=f"{records.name}: rows to train on")
    figure.colorbar(image, ax=table)
    curve.plot(range(1, len(course) + 1), course.numpy())
    curve.set(xlabel="round", ylabel="accuracy", ylim=(0, 1), title="common network, clients' held-out rows")
    return figure


CARD = Card(
    title="one network from clients that keep their rows, by federated averaging; the baseline of its family",
    paper="McMahan et al., Communication-efficient learning of deep networks from decentralized data, 2017, arXiv 1602.05629",
    from_paper=(
        "algorithm 1: every round a fraction of the clients trains the common network by SGD on its own rows",
        "the new common weights are the mean of the clients' weights, weighted by their rows",
    ),
    ours=(
        "the clients are simulated: a Dirichlet draw shares out every class of one data set, and the whole run is in one process",
        "the perceptron, its rates and its rounds, for small data",
        "each client holds out a part of its rows, on which the common network is tested after every round",
    ),
    proof="digits, 10 clients, 3 seeds: 0.916 right; a client alone 0.463, at most 0.632 by its classes; in one place 0.966",
    private_statistics=(
        "how many rows of each class each client trains on (clients/counts)",
        "the accuracy on the clients' held-out rows after every round (clients/accuracy)",
    ),
)


@register("fedavg")
def fedavg(config: FedAvgConfig = FedAvgConfig()) -> Recipe[Records]:
    """The recipe `fedavg`; deploys `network`, and `clients`: `counts` (clients, K) int64 and `accuracy` (rounds,) float64.

    It is not differentially private: weights that clients send tell about their rows, and so does the network.

    Args:
        config: of the clients and of their training.
    """

    def run(records: Records) -> Mapping[str, Any]:
        seed = int(torch.randint(2**62, ()))  # of the run, whose seed is set while this is called
        made = federate(config, records, FedAvg(fraction=config.fraction), seed=seed)
        course = torch.tensor(list(made.history.column("accuracy").values()), dtype=torch.float64)
        return {
            "network": made.network,
            "clients": {"counts": torch.from_numpy(made.train.counts), "accuracy": course},
        }

    return Recipe(
        name="fedavg",
        config=config,
        data=Records,
        card=CARD,
        run=run,
        deploy={"network": nn.Module, "clients": dict},
        evaluate=evaluate,
        picture=picture,
        example=all_digits,
    )
