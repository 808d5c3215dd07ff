"""The rounds of a federation in one process: no network, no waiting, and a result that repeats bit for bit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from accountants import check
from privkd.federation.aggregation import require_form
from privkd.federation.contracts import Arrays, Client, EvalResult, FitResult, Scalar, State
from privkd.federation.exchange import arrays_of, copied, copied_state, load_arrays, state_from_bytes, state_to_bytes
from privkd.federation.strategy import Strategy
from privkd.trainer.seeding import generator_of, mixed

_OURS = ("round", "client", "seed")


@dataclass(frozen=True)
class Round:
    """What happened in one round.

    Attributes:
        number: from 1.
        clients: who took part, ascending.
        training: means over them of what they reported, weighted.
        evaluations: of every client after the round, by its number; empty where none was due.
    """

    number: int
    clients: tuple[int, ...]
    training: Mapping[str, float]
    evaluations: Mapping[int, EvalResult]

    @property
    def figures(self) -> dict[str, float]:
        """Means of the evaluations over clients, weighted by their test rows; empty where none was due."""
        return _means(list(self.evaluations.values()))


@dataclass(frozen=True)
class FederationHistory:
    """The rounds of a federation, and what its clients remember.

    Attributes:
        rounds: in order.
        states: of each client that took part at least once, by its number. They are private to the clients: in a real federation
            nobody else has them.
    """

    rounds: tuple[Round, ...]
    states: Mapping[int, State]

    def column(self, name: str) -> dict[int, float]:
        """A figure of the evaluations, as its mean over clients weighted by test rows, by the number of the round.

        Raises:
            KeyError: no evaluation gave it; the message lists the names.
        """
        found = {one.number: one.figures[name] for one in self.rounds if name in one.figures}
        if not found:
            known = sorted({key for one in self.rounds for key in one.figures})
            raise KeyError(
                f"{name!r} was not evaluated; known: {', '.join(known) or 'nothing, as no round was evaluated'}"
            )
        return found


def run_federation(
    model: nn.Module,
    clients: Sequence[Client],
    strategy: Strategy,
    *,
    rounds: int,
    seed: int = 0,
    eval_every: int | None = 1,
    serialize: bool = False,
) -> FederationHistory:
    """Let clients train a model in rounds, one client after another in this process.

    Every client gets copies of the arrays, of its config and of its state, so that no client can change what another one sees,
    and an evaluation changes nothing at all. What is drawn depends on the seed, the round and the number of the client alone.

    Args:
        model: where the arrays begin, and where they are written to in the end. Entries that do not travel stay as they are.
        clients: in the order of their numbers, >= 1.
        strategy: of the server.
        rounds: >= 1.
        seed: of the choice of clients and of their training, >= 0.
        eval_every: rounds between two evaluations by all clients; the last round always has one. None evaluates nothing.
        serialize: whether states are also written to bytes and read again between rounds, as between machines; slower, and the same
            result if they can be.

    Raises:
        TypeError: a client has no fit and evaluate, or keeps something else than numbers in its state.
        ValueError: a number is out of range, the strategy chooses clients that there are not or says what only rounds may say, or a
            client sends arrays of another form.
    """
    check.integer(rounds=rounds, at_least=1)
    check.integer(seed=seed, at_least=0)
    if eval_every is not None:
        check.integer(eval_every=eval_every, at_least=1)
    if not clients:
        raise ValueError("clients is empty; a federation needs at least one")
    for place, client in enumerate(clients):
        if not isinstance(client, Client):
            raise TypeError(
                f"client {place} is {type(client).__name__}, without fit and evaluate; see privkd.federation.Client"
            )
    arrays = arrays_of(model, strategy.shared_keys(model))
    states: dict[int, State] = {}
    done = []
    for number in range(1, rounds + 1):
        chosen = _chosen(strategy.select(number, len(clients), generator_of(mixed(seed, number))), len(clients))
        results = []
        for place in chosen:
            config = _config(strategy, number, place, seed)
            result = clients[place].fit(copied(arrays), config, copied_state(states.get(place, {})))
            require_form(result.arrays, arrays, f"the arrays of client {place}")
            states[place] = _kept(result.state, serialize=serialize)
            results.append(FitResult(copied(result.arrays), result.weight, dict(result.metrics)))
        arrays = copied(strategy.aggregate(number, copied(arrays), results))
        is_due = eval_every is not None and (number % eval_every == 0 or number == rounds)
        evaluations = _evaluated(clients, strategy, arrays, states, number, seed) if is_due else {}
        done.append(Round(number, tuple(chosen), _means(results), evaluations))
    load_arrays(model, arrays)
    return FederationHistory(tuple(done), states)


def _chosen(places: Sequence[int], clients: int) -> list[int]:
    """The clients of a round, in the order in which they are asked and their answers are summed."""
    if len(set(places)) < len(places) or not all(0 <= place < clients for place in places):
        raise ValueError(
            f"the strategy chose the clients {list(places)[:10]}; each of 0 to {clients - 1} may take part once"
        )
    return sorted(places)


def _config(strategy: Strategy, number: int, place: int, seed: int) -> dict[str, Scalar]:
    told = dict(strategy.configure(number, place))
    for name, value in told.items():
        if name in _OURS or type(value) not in (bool, int, float, str):
            raise ValueError(
                f"the strategy says {name!r}, a {type(value).__name__}, to client {place}; it may say scalars under other names "
                f"than {', '.join(_OURS)}"
            )
    return {**told, "round": number, "client": place, "seed": mixed(seed, number, place)}


def _kept(state: State, *, serialize: bool) -> State:
    return state_from_bytes(state_to_bytes(state)) if serialize else copied_state(state)


def _evaluated(
    clients: Sequence[Client],
    strategy: Strategy,
    arrays: Arrays,
    states: Mapping[int, State],
    number: int,
    seed: int,
) -> dict[int, EvalResult]:
    """The evaluation of every client, also of those that did not take part."""
    return {
        place: client.evaluate(
            copied(arrays), _config(strategy, number, place, seed), copied_state(states.get(place, {}))
        )
        for place, client in enumerate(clients)
    }


def _means(results: Sequence[FitResult] | Sequence[EvalResult]) -> dict[str, float]:
    """Weighted means of metrics, each over those who report it."""
    means = {}
    for name in dict.fromkeys(name for result in results for name in result.metrics):
        found = [(result.weight, result.metrics[name]) for result in results if name in result.metrics]
        means[name] = math.fsum(w * value for w, value in found) / math.fsum(w for w, _ in found)
    return means
