"""The structures of noisy-label, distillation and federated systems on the trainer: tiny, and not the published systems."""

import copy
import dataclasses
import shutil
import signal
from itertools import pairwise

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

from privkd.errors import TrainingStopped
from privkd.trainer import Checkpoints, Stage, Task, Trainer, Update, seeded


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    return torch.tensor(data.data / 16.0, dtype=torch.float32), torch.tensor(data.target)


def same(*modules):
    one, two = (list(module.state_dict().values()) for module in modules)
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def weights(*modules):
    return [parameter for module in modules for parameter in module.parameters()]


class Classify(Task):
    def __init__(self, net, *, lr=3e-3, optimizer=torch.optim.Adam):
        super().__init__(modules={"net": net}, optimizers=[optimizer(net.parameters(), lr=lr)])

    def step(self, batch, context):
        x, y = batch.tensors
        return {"cross-entropy": functional.cross_entropy(self.modules["net"](x), y)}


# Noisy labels. Structure of Sel-CL: a queue, an average, a selection of rows before every epoch; then fine-tuning on it.


def agreeing(z, labels, near=20):
    """Rows whose label is that of their neighbours, with one quota for all classes."""
    nearest = (z @ z.T).fill_diagonal_(-1).topk(near).indices
    corrected = functional.one_hot(labels, 10)[nearest].sum(dim=1).argmax(dim=1)
    share = functional.one_hot(corrected, 10)[nearest].float().mean(dim=1)
    quota = int(torch.bincount(labels[share.argmax(dim=1) == labels], minlength=10).float().median())
    clean = torch.zeros(len(labels), dtype=torch.bool)
    for label in range(10):
        rows = (labels == label).nonzero().squeeze(1)
        clean[rows[share[rows, label].topk(min(quota, len(rows))).indices]] = True
    return clean


class Selective(Task):
    """Contrast alone for two epochs; then also pairs and labels that are selected, by the index of their rows."""

    def __init__(self, inputs, labels, select, stop_at):
        with seeded(0):
            self.body = nn.Sequential(nn.Linear(64, 64), nn.ReLU())
            modules = {"body": self.body, "head": nn.Linear(64, 16), "classifier": nn.Linear(64, 10)}
        sgd = torch.optim.SGD(weights(*modules.values()), lr=0.05, momentum=0.9)
        super().__init__(modules=modules, optimizers=[sgd], averaged={"body": 0.99, "head": 0.99})
        self.inputs, self.labels, self.select, self.stop_at = inputs, labels, select, stop_at
        self.queue, self.queued = torch.zeros(0, 16), torch.zeros(0, dtype=torch.int64)
        self.clean = torch.zeros(len(labels), dtype=torch.bool)

    def embed(self, modules, x):
        return functional.normalize(modules["head"](modules["body"](x)))

    def on_epoch_start(self, context):
        if context.epoch >= 2:
            with torch.no_grad():
                self.clean = self.select(self.embed(self.modules, self.inputs), self.labels)

    def step(self, batch, context):
        (x,), rows, random = batch.tensors, batch.index, context.generator
        if context.step == self.stop_at:
            signal.raise_signal(signal.SIGTERM)
        one, two = (x + 0.1 * torch.randn(x.shape, generator=random) for _ in range(2))
        with torch.no_grad():
            memory = torch.cat([self.embed(self.averages, two), self.queue])
        queued = torch.cat([rows, self.queued])
        self.queue, self.queued = memory[:240], queued[:240]
        if context.epoch < 2:
            logits = self.embed(self.modules, one) @ memory.T / 0.1
            return {"contrast": functional.cross_entropy(logits, torch.arange(len(x)))}
        other, share = torch.randperm(len(x), generator=random), float(0.5 + 0.5 * torch.rand((), generator=random))
        mixed = self.embed(self.modules, share * one + (1 - share) * one[other])
        log_p = (mixed @ memory.T / 0.1).log_softmax(dim=1)
        a, b = drawn(self.clean, 2 * len(x), random).chunk(2)
        logits = self.modules["classifier"](self.modules["body"](share * self.inputs[a] + (1 - share) * self.inputs[b]))
        groups = torch.where(self.clean, self.labels, -1 - torch.arange(len(self.labels)))  # others are alone
        losses = {"pairs": 0.0, "classification": 0.0}
        for part, anchors, examples in ((share, rows, a), (1 - share, rows[other], b)):
            alike = groups[anchors][:, None] == groups[queued]
            losses["pairs"] -= part * ((log_p * alike).sum(dim=1) / alike.sum(dim=1)).mean()
            losses["classification"] += part * functional.cross_entropy(logits, self.labels[examples])
        return losses

    def state_dict(self):
        return {"queue": self.queue, "queued": self.queued, "clean": self.clean}

    def load_state_dict(self, state):
        self.queue, self.queued, self.clean = state["queue"], state["queued"], state["clean"]


class FineTuned(Task):
    """A fresh classifier on the last selection alone; makes its own batches."""

    def __init__(self, before, stop_at):
        with seeded(1):
            self.before, self.body, self.stop_at = before, before.body, stop_at
            modules = {"body": self.body, "classifier": nn.Linear(64, 10)}
        sgd = torch.optim.SGD(weights(*modules.values()), lr=0.1, momentum=0.9)
        super().__init__(modules=modules, optimizers=[sgd])

    def step(self, batch, context):
        if context.step == self.stop_at:
            signal.raise_signal(signal.SIGTERM)
        rows = drawn(self.before.clean, 60, context.generator)
        logits = self.modules["classifier"](self.modules["body"](self.before.inputs[rows]))
        return {"classification": functional.cross_entropy(logits, self.before.labels[rows])}


def drawn(mask, n, generator):
    chosen = mask.nonzero().squeeze(1)
    return chosen[torch.randint(len(chosen), (n,), generator=generator)]


def selective(digits, *, select=agreeing, stop_at=(None, None), folder=None):
    """Both stages on 600 rows, half of whose labels are wrong; optionally stopped in a step of one of them."""
    inputs, labels = digits[0][:600], digits[1][:600].clone()
    wrong = torch.randperm(600, generator=torch.Generator().manual_seed(0))[:300]
    labels[wrong] = (labels[wrong] + 1 + torch.arange(300) % 9) % 10
    first = Selective(inputs, labels, select, stop_at[0])
    second = FineTuned(first, stop_at[1])
    stages = [Stage("selective", first, (inputs,), steps=60), Stage("fine-tuned", second, steps=40)]
    Trainer(steps=1, batch_size=60, device="cpu", folder=folder).run(stages)
    return first, second


def accuracy(modules, rows):
    with torch.no_grad():
        return float((modules["classifier"](modules["body"](rows[0])).argmax(dim=1) == rows[1]).float().mean())


@pytest.fixture(scope="module")
def uninterrupted(digits):
    return selective(digits)[1].body


def test_the_selection_finds_right_labels_and_decides_what_is_learned(digits):
    first, second = selective(digits)
    right = first.labels == digits[1][:600]
    assert right.float().mean() == 0.5
    assert right[first.clean].float().mean() > 0.9
    _, unselective = selective(digits, select=lambda z, labels: torch.ones(len(labels), dtype=torch.bool))
    others = digits[0][600:], digits[1][600:]
    assert accuracy(second.modules, others) > accuracy(unselective.modules, others) + 0.03


LOST = {
    "queue": {"queue": torch.zeros(0, 16), "queued": torch.zeros(0, dtype=torch.int64)},
    "selection": {"clean": torch.arange(600) < 300},
}


@pytest.mark.parametrize(("stop_at", "lost"), [((33, None), "queue"), ((None, 20), "selection")])
def test_queue_and_selection_survive_an_interruption(digits, uninterrupted, tmp_path, stop_at, lost, monkeypatch):
    with pytest.raises(TrainingStopped):
        selective(digits, stop_at=stop_at, folder=tmp_path / "kept")
    shutil.copytree(tmp_path / "kept", tmp_path / "lost")
    assert same(selective(digits, folder=tmp_path / "kept")[1].body, uninterrupted)
    load = Selective.load_state_dict
    monkeypatch.setattr(Selective, "load_state_dict", lambda self, state: load(self, state | LOST[lost]))
    assert not same(selective(digits, folder=tmp_path / "lost")[1].body, uninterrupted)


# Distillation. Structure of SKD: labels first; then the frozen teacher's features of the large views worth copying.


class Mimic(Task):
    """Labels for every row and, with a weight, teacher features for the rows that were kept."""

    def __init__(self, student, head, teacher, *, weight):
        modules, adam = {"student": student, "head": head}, torch.optim.Adam(weights(student, head), lr=3e-3)
        super().__init__(modules=modules, frozen={"teacher": teacher}, optimizers=[adam])
        self.weight = weight

    def step(self, batch, context):
        large, small, labels, keep = batch.tensors
        features, wanted = self.modules["student"](small), self.frozen["teacher"](large)
        apart = (functional.normalize(features) - functional.normalize(wanted)).square().sum(dim=1)
        mimicry = self.weight * (apart * keep).sum() / keep.sum().clamp(min=1)
        return {"labels": functional.cross_entropy(self.modules["head"](features), labels), "features": mimicry}


@pytest.fixture(scope="module")
def teacher(digits):
    with seeded(3):
        net = nn.Sequential(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10))
    Trainer(steps=200).run(Classify(net), (digits[0][900:], digits[1][900:]))
    return net[:3]


def close_to_centres(features, labels, limit):
    """Rows whose feature has nearly the direction of its class's median."""
    features, keep = functional.normalize(features), torch.zeros(len(labels), dtype=torch.bool)
    for label in range(10):
        rows = (labels == label).nonzero().squeeze(1)
        keep[rows] = features[rows] @ functional.normalize(features[rows].median(dim=0).values, dim=0) > 1 - limit
    return keep


def distilled(data, teacher):
    with seeded(4):
        student, head = nn.Sequential(nn.Linear(16, 48), nn.ReLU(), nn.Linear(48, 32)), nn.Linear(32, 10)
    stages = [Stage(f"weight {w}", Mimic(student, head, teacher, weight=w), data) for w in (0, 10)]
    Trainer(steps=40).run(stages)
    return student


def test_teacher_features_that_were_not_selected_do_not_reach_the_student(digits, teacher):
    large, labels, generator = digits[0][:900].clone(), digits[1][:900], torch.Generator().manual_seed(0)
    small = functional.avg_pool2d(large.reshape(-1, 1, 8, 8), 2).flatten(1)
    good = torch.rand(900, generator=generator) > 0.33
    large[~good] = 0.25 * large[~good] + 0.75 * torch.rand(int((~good).sum()), 64, generator=generator)
    before, keep = copy.deepcopy(teacher), close_to_centres(teacher(large).detach(), labels, limit=0.2)
    assert good[keep].float().mean() > 0.9 > 0.75 > good.float().mean()
    assert keep[good].float().mean() > 0.5
    student = distilled((large, small, labels, keep), teacher)
    assert same(teacher, before)
    for changed, is_same in ((~keep, True), (keep, False)):
        other = torch.where(changed[:, None], 1 - large, large)
        assert same(distilled((other, small, labels, keep), teacher), student) is is_same


# Distillation without data: a generator learns from the student, the student from a frozen teacher.


class Invented(Task):
    """A game on batches of its own; the teacher is asked about detached queries only."""

    def __init__(self, teacher, *, lr=3e-3, plays=True):
        with seeded(5):
            self.maker = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 64), nn.Sigmoid())
            modules, self.plays = {"maker": self.maker, "student": nn.Linear(64, 10)}, plays
        rates = {"maker": 3e-3, "student": lr}
        adam = {name: torch.optim.Adam(module.parameters(), rates[name]) for name, module in modules.items()}
        super().__init__(modules=modules, frozen={"teacher": teacher}, optimizers=adam)

    def step(self, batch, context):
        latents = torch.randn(64, 8, generator=context.generator).to(context.device)
        queries = self.modules["maker"](latents)
        answers = self.frozen["teacher"](queries.detach()).softmax(dim=1)
        log_p = self.modules["student"](queries.detach()).log_softmax(dim=1)
        yield Update({"agreement": functional.kl_div(log_p, answers, reduction="batchmean")}, ("student",))
        if self.plays:
            p = self.modules["student"](queries).softmax(dim=1)
            mean = p.mean(dim=0)
            told_apart = -(p * p.log()).sum(dim=1).mean()
            yield Update({"told apart": told_apart, "even": (mean * mean.log()).sum()}, ("maker",))


def test_the_generator_learns_by_its_own_update_and_by_way_of_the_student_alone(teacher):
    def maker(head_seed, **options):
        with seeded(head_seed):
            task = Invented(nn.Sequential(teacher, nn.Linear(32, 10)), **options)
        Trainer(steps=60).run(task)
        return task.maker

    assert same(maker(1, plays=False), Invented(teacher).maker)
    assert not same(maker(1), Invented(teacher).maker)
    assert same(maker(1, lr=0.0), maker(2, lr=0.0))  # a student that learns nothing passes nothing on
    assert not same(maker(1), maker(2))


# Federated. Structure of FedLMD: one short run per client and round, with the received model as the frozen teacher.


def masked_distillation(local, received, labels, majority):
    """KL from the received model on rare classes other than the true one; 0 for rows where none is left."""
    true, lowest = functional.one_hot(labels, local.shape[1]).bool(), torch.finfo(local.dtype).min / 2
    allowed = ~true & ~majority
    log_q = received.masked_fill(~allowed, lowest).log_softmax(dim=1).masked_fill(~allowed, 0.0)
    log_p = local.masked_fill(true, lowest).log_softmax(dim=1).masked_fill(~allowed, 0.0)
    return (log_q.exp() * allowed * (log_q - log_p)).sum(dim=1).mean()


class Local(Classify):
    """What a client does in a round; its class counts stay with it."""

    def __init__(self, net, labels, *, beta, lr=0.1):
        super().__init__(net, lr=lr, optimizer=torch.optim.SGD)
        counts = torch.bincount(labels, minlength=10)
        self.majority, self.beta = counts > counts.float().mean(), beta
        self.frozen["received"] = copy.deepcopy(net)

    def step(self, batch, context):
        x, y = batch.tensors
        if not self.beta:
            return super().step(batch, context)
        local, received = self.modules["net"](x), self.frozen["received"](x)
        rare = self.beta * masked_distillation(local, received, y, self.majority.to(context.device))
        return {"cross-entropy": functional.cross_entropy(local, y), "rare classes": rare}


def federation(net, clients, trainer, *, folder, rounds, beta=0.0, by_size=True):
    """Rounds around the trainer: send, train locally, average; goes on after the last round in the folder."""
    kept = Checkpoints(folder)
    done, state = kept.latest() or (0, {"net": net.state_dict()})
    net.load_state_dict(state["net"])
    for number in range(done, rounds):
        shares, total = [len(labels) if by_size else 1 for _, labels in clients], {}
        for client, data in enumerate(clients):
            local = Local(copy.deepcopy(net), data[1], beta=beta)
            dataclasses.replace(trainer, seed=1000 * number + client).run(local, data)
            for name, value in local.modules["net"].state_dict().items():
                total[name] = total.get(name, 0) + shares[client] / sum(shares) * value.double()
        net.load_state_dict(total)
        kept.save(number + 1, {"net": net.state_dict()})
    return net


def fresh():
    with seeded(7):
        return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def by_class(digits, borders=(0, 1, 4, 10)):
    """Clients of unequal sizes, each with classes of its own."""
    x, y = digits[0][:600], digits[1][:600]
    return [(x[(y >= low) & (y < high)], y[(y >= low) & (y < high)]) for low, high in pairwise(borders)]


def test_one_whole_step_per_client_and_the_mean_by_size_is_one_step_on_all_rows(digits, tmp_path):
    one_step, slow = Trainer(steps=1, batch_size=600), fresh()
    functional.cross_entropy(slow(digits[0][:600]), digits[1][:600]).backward()
    for by_size in (True, False):
        folder = tmp_path / str(by_size)
        averaged = federation(fresh(), by_class(digits), one_step, rounds=1, folder=folder, by_size=by_size)
        for mean, start in zip(averaged.parameters(), slow.parameters(), strict=True):
            assert torch.allclose(mean, start - 0.1 * start.grad, atol=1e-6) is by_size


def test_distilling_rare_classes_keeps_what_the_client_never_sees(digits):
    net, (client, *_) = fresh(), by_class(digits, (0, 2, 10))
    Trainer(steps=300).run(Classify(net), (digits[0][900:], digits[1][900:]))
    unseen = digits[1][:600] >= 2
    after = {}
    for beta in (0.0, 1.0):
        local = Local(copy.deepcopy(net), client[1], beta=beta)
        Trainer(epochs=20, batch_size=32).run(local, client)
        assert same(local.frozen["received"], net)
        chosen = local.modules["net"](digits[0][:600][unseen]).argmax(dim=1)
        after[beta] = float((chosen == digits[1][:600][unseen]).float().mean())
    assert after[1.0] > after[0.0] + 0.03


def test_the_distillation_says_nothing_about_the_true_class_and_is_zero_where_no_rare_class_is_left():
    local, received, labels = torch.randn(6, 10, requires_grad=True), torch.randn(6, 10), torch.arange(6)
    loss = masked_distillation(local, received, labels, majority=torch.arange(10) < 2)
    loss.backward()
    assert loss > 0
    assert torch.equal(local.grad.gather(1, labels[:, None]), torch.zeros(6, 1))
    assert masked_distillation(local, received, labels, majority=torch.ones(10, dtype=torch.bool)) == 0.0


def test_a_federation_goes_on_after_its_last_round(digits, tmp_path):
    def run(folder, rounds):
        return federation(fresh(), by_class(digits), Trainer(epochs=1), folder=folder, rounds=rounds, beta=1.0)

    run(tmp_path / "stopped", 2)
    assert same(run(tmp_path / "stopped", 4), run(tmp_path / "whole", 4))
    assert not same(run(tmp_path / "shorter", 3), run(tmp_path / "whole", 4))
