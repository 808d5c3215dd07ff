"""Accuracy of the federated systems on skewed clients of digits, against clients alone and against training in one place.

Usage:  python benchmarks/systems/federated.py --seeds 5 --pages
Takes:  about ten seconds per system and seed on one core.   Needs: nothing beyond the install.
Writes: one JSON line per system and seed, and the table of its page.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from cases import main

from privkd.data import Records
from privkd.data.bundled import all_digits
from privkd.federation import FedAvg, load_arrays
from privkd.networks import network_for
from privkd.recipes.federated.fedavg import FedAvgConfig, Federated, LocalClassification, evaluate, federate
from privkd.trainer import Trainer, seeded


class Alone(FedAvg):
    """Nothing travels."""

    def shared_keys(self, model: torch.nn.Module) -> tuple[str, ...]:
        """None."""
        return ()


def digits(seed: int) -> tuple[Records, Records]:
    """1300 digits for the clients, and the others to test on."""
    whole = all_digits()
    order = torch.randperm(len(whole), generator=torch.Generator().manual_seed(seed))
    return whole.take(order[:1300]), whole.take(order[1300:])


def scores(made: Federated, test: Records) -> dict[str, float]:
    """Figures of the recipe."""
    return evaluate({"network": made.network, "clients": {"counts": torch.from_numpy(made.train.counts)}}, test)


def alone(config: FedAvgConfig, train: Records, test: Records, seed: int) -> dict[str, float]:
    """Means over clients of the accuracy of their own networks, and of what it could be at most."""
    made = federate(config, train, Alone(), seed=seed)
    found = []
    for client in range(config.clients):
        load_arrays(made.network, made.history.states[client])
        found.append(scores(made, test)["accuracy"])
    shares = np.bincount(test.labels, minlength=test.classes) / len(test)
    return {"accuracy": float(np.mean(found)), "ceiling": float(((made.train.counts > 0) @ shares).mean())}


def in_one_place(config: FedAvgConfig, made: Federated, train: Records, test: Records, seed: int) -> dict[str, float]:
    """The same network on the rows of all clients."""
    rows = train.take(np.concatenate(made.train.rows))
    with seeded(seed):
        network = network_for(rows.shape, rows.classes, network="mlp", hidden=config.width)
    task = LocalClassification(network, lr=config.lr)
    Trainer(epochs=config.rounds, batch_size=config.batch_size, seed=seed).run(task, rows)
    return scores(Federated(network, made.history, made.train, made.test), test)


def fedavg(seed: int) -> Mapping[str, Mapping[str, float]]:
    """The recipe at its defaults, beside both ends."""
    train, test = digits(seed)
    config = FedAvgConfig(split_seed=seed)
    made = federate(config, train, FedAvg(), seed=seed)
    return {
        "fedavg": scores(made, test),
        "each client alone": alone(config, train, test, seed),
        "in one place": in_one_place(config, made, train, test, seed),
    }


if __name__ == "__main__":
    main({"fedavg": fedavg}, script="benchmarks/systems/federated.py", about=__doc__ or "")
