"""Rounds: copies for every client, states that survive, one order, and a result that repeats."""

import copy
from typing import ClassVar

import pytest
import torch
from federation.clients import Shifting
from torch import nn

from privkd.federation import FedAvg, FitResult, Strategy, run_federation, weighted_mean
from privkd.trainer.seeding import generator_of, mixed


def model():
    net = nn.Linear(2, 1)
    nn.init.zeros_(net.weight), nn.init.zeros_(net.bias)
    return net


def test_a_round_is_the_weighted_mean_of_what_clients_send():
    net, clients = model(), [Shifting(1.0, weight=3.0), Shifting(5.0, weight=1.0)]
    history = run_federation(net, clients, FedAvg(), rounds=1, seed=4, serialize=True)
    noise = [float(torch.rand((), generator=generator_of(mixed(4, 1, client)))) for client in (0, 1)]
    wanted = 0.75 * (1.0 + noise[0]) + 0.25 * (5.0 + noise[1])
    assert net.weight.tolist()[0] == pytest.approx([wanted, wanted], rel=1e-6)
    assert history.rounds[0].training == {"noise": pytest.approx(0.75 * noise[0] + 0.25 * noise[1])}


def test_nothing_that_a_client_writes_to_reaches_another_or_its_own_next_round():
    """`Shifting` spoils arrays, config and state in fit and evaluate."""
    clients = [Shifting(1.0), Shifting(2.0)]
    history = run_federation(model(), clients, FedAvg(), rounds=3, seed=0, serialize=True)
    for client in clients:
        assert [config["round"] for config, _, _ in client.seen] == [1, 2, 3]
        assert [state.get("times", 0) for _, _, state in client.seen] == [0, 1, 2]
        assert all(bool(torch.isfinite(value).all()) for _, arrays, _ in client.seen for value in arrays.values())
    for (_, one, _), (_, other, _) in zip(*(client.seen for client in clients), strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert history.states[0]["times"] == 3
    assert history.states[1]["memory"].tolist() == [3.0, 3.0]


def test_states_through_bytes_change_nothing():
    nets = [model(), model()]
    for net, serialize in zip(nets, (False, True), strict=True):
        run_federation(net, [Shifting(1.0), Shifting(2.0)], FedAvg(fraction=0.5), rounds=4, seed=1, serialize=serialize)
    assert torch.equal(nets[0].weight, nets[1].weight)


def test_what_is_drawn_depends_on_seed_round_and_client_alone():
    def noises(seed, *, crowd=3):
        clients = [Shifting(0.0) for _ in range(crowd)]
        run_federation(model(), clients, FedAvg(), rounds=2, seed=seed)
        return [config["seed"] for client in clients for config, _, _ in client.seen]

    with torch.random.fork_rng():
        torch.manual_seed(99)
        assert noises(0) == noises(0, crowd=5)[:6]
    assert len({*noises(0), *noises(1)}) == 12


def test_a_fraction_takes_part_and_everybody_is_evaluated():
    clients = [Shifting(float(number)) for number in range(10)]
    history = run_federation(model(), clients, FedAvg(fraction=0.3), rounds=6, seed=0, eval_every=4)
    chosen = [one.clients for one in history.rounds]
    assert {len(places) for places in chosen} == {3}
    assert len(set(chosen)) > 1
    assert [len(one.evaluations) for one in history.rounds] == [0, 0, 0, 10, 0, 10]
    assert set(history.column("total")) == {4, 6}
    assert set(history.states) == {place for places in chosen for place in places}
    never = run_federation(model(), clients, FedAvg(), rounds=1, eval_every=None)
    with pytest.raises(KeyError, match="no round was evaluated"):
        never.column("total")


def test_a_round_without_clients_changes_nothing():
    class Nobody(FedAvg):
        def select(self, number, clients, generator):
            return []

    net = model()
    history = run_federation(net, [Shifting(1.0)], Nobody(), rounds=2)
    assert net.weight.tolist() == [[0.0, 0.0]]
    assert history.rounds[0].clients == ()


def test_answers_come_in_the_order_of_clients_however_they_were_chosen():
    class Backwards(FedAvg):
        orders: ClassVar[list] = []

        def select(self, number, clients, generator):
            return list(reversed(range(clients)))

        def aggregate(self, number, arrays, results):
            self.orders.append([result.weight for result in results])
            return super().aggregate(number, arrays, results)

    run_federation(model(), [Shifting(0.0, weight=w) for w in (1.0, 2.0, 3.0)], Backwards(), rounds=1)
    assert Backwards.orders == [[1.0, 2.0, 3.0]]


def test_only_floating_entries_travel_and_patterns_choose_among_them():
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    client = Shifting(1.0)
    before = copy.deepcopy(net.state_dict())
    run_federation(net, [client], FedAvg(shared=("1.*",)), rounds=1)
    assert set(client.seen[0][1]) == {"1.weight", "1.bias", "1.running_mean", "1.running_var"}
    assert torch.equal(net[0].weight, before["0.weight"])
    assert not torch.equal(net[1].weight, before["1.weight"])
    with pytest.raises(ValueError, match="matches no floating-point entry"):
        run_federation(net, [client], FedAvg(shared=("head.*",)), rounds=1)


def test_a_mean_is_summed_in_double_precision_and_cast_back():
    """In float32 the small value is lost beside the large ones; the twin is exact."""
    values, weights = [1.0, 2.0**24, -(2.0**24)], [1, 1, 1]
    results = [FitResult({"w": torch.tensor([v])}, w) for v, w in zip(values, weights, strict=True)]
    mean = weighted_mean(results)["w"]
    assert mean.dtype == torch.float32
    assert float(mean) == pytest.approx(1 / 3, rel=1e-6)
    half = weighted_mean([FitResult({"w": torch.tensor([1.0, 2.0]).half()}, 2.0)])["w"]
    assert half.dtype == torch.float16


@pytest.mark.parametrize(
    ("results", "options", "message"),
    [
        ([], {}, "empty"),
        ([FitResult({"w": torch.ones(1)}, 0.0)], {}, "weight"),
        ([FitResult({"w": torch.ones(1)}, float("nan"))], {}, "weight"),
        ([FitResult({"w": torch.ones(1)}, 1.0)], {"weight": "rows"}, "weight"),
        ([FitResult({"w": torch.ones(1, dtype=torch.int64)}, 1.0)], {}, "int64"),
        ([FitResult({"w": torch.tensor([torch.inf])}, 1.0)], {}, "not finite"),
        ([FitResult({"w": torch.ones(1)}, 1.0), FitResult({"w": torch.ones(2)}, 1.0)], {}, "result 1"),
        ([FitResult({"w": torch.ones(1)}, 1.0), FitResult({"v": torch.ones(1)}, 1.0)], {}, "lack"),
    ],
)
def test_a_mean_refuses(results, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        weighted_mean(results, **options)


class Sending(Shifting):
    """Sends something else than it should."""

    def __init__(self, change):
        super().__init__(0.0)
        self.change = change

    def fit(self, arrays, config, state):
        return self.change(super().fit(arrays, config, state))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda r: FitResult({}, 1.0), ValueError, "client 0 lack"),
        (lambda r: FitResult({k: v.double() for k, v in r.arrays.items()}, 1.0), ValueError, "float64"),
        (lambda r: FitResult(r.arrays, 1.0, {}, {"net": nn.Linear(1, 1)}), TypeError, "'net', a Linear"),
        (lambda r: FitResult(r.arrays, 1.0, {}, {"big": 2**70}), ValueError, "71 bits"),
    ],
)
def test_what_does_not_fit_is_refused_and_the_model_stays(change, error, message):
    net = model()
    with pytest.raises(error, match=message):
        run_federation(net, [Sending(change)], FedAvg(), rounds=1, serialize=True)
    assert net.weight.tolist() == [[0.0, 0.0]]


class Saying(FedAvg):
    def __init__(self, says=None, chooses=None):
        super().__init__()
        self.says, self.chooses = says, chooses

    def configure(self, number, client):
        return self.says or {}

    def select(self, number, clients, generator):
        return self.chooses or [0]


@pytest.mark.parametrize(
    ("clients", "strategy", "options", "error", "message"),
    [
        ([], FedAvg(), {}, ValueError, "clients is empty"),
        ([object()], FedAvg(), {}, TypeError, "client"),
        ([Shifting(0.0)], FedAvg(), {"rounds": 0}, ValueError, "rounds"),
        ([Shifting(0.0)], FedAvg(), {"seed": -1}, ValueError, "seed"),
        ([Shifting(0.0)], FedAvg(), {"eval_every": 0}, ValueError, "eval_every"),
        ([Shifting(0.0)], Saying(chooses=[1]), {}, ValueError, r"chose the clients \[1\]"),
        ([Shifting(0.0)], Saying(chooses=[0, 0]), {}, ValueError, "may take part once"),
        ([Shifting(0.0)], Saying(says={"seed": 3}), {}, ValueError, "'seed', a int"),
        ([Shifting(0.0)], Saying(says={"teacher": nn.Linear(1, 1)}), {}, ValueError, "'teacher', a Linear"),
    ],
)
def test_bad_arguments_are_refused(clients, strategy, options, error, message):
    with pytest.raises(error, match=message):
        run_federation(model(), clients, strategy, **{"rounds": 1, **options})


@pytest.mark.parametrize(
    "options", [{"fraction": 0.0}, {"fraction": 1.1}, {"weight": "rows"}, {"shared": "*"}, {"shared": ()}]
)
def test_options_of_fedavg_out_of_range_are_refused(options):
    with pytest.raises((ValueError, TypeError), match=next(iter(options))):
        FedAvg(**options)


def test_the_defaults_of_a_strategy_are_everybody_and_everything():
    class Last(Strategy):
        def aggregate(self, number, arrays, results):
            return results[-1].arrays

    net, clients = model(), [Shifting(1.0), Shifting(2.0)]
    history = run_federation(net, clients, Last(), rounds=1)
    assert history.rounds[0].clients == (0, 1)
    assert float(net.bias.detach()) > 2.0
