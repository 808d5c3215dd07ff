"""Private training: the noise is there, in full, once; every record is clipped; everything is charged first."""

import json
import math
import warnings
from contextlib import nullcontext

import pytest
import torch
from torch import nn

import privkd
from accountants import Gaussian, Ledger, audit, epsilon
from privkd.errors import BudgetExceeded, CheckpointError, LedgerError, MixedRecordsError, TaskError
from privkd.mechanisms import SeededNoise
from privkd.mechanisms.noise import NoiseSource
from privkd.private_training import Banded, PerLayer, PrivateGradients, Quantile
from privkd.private_training import private_run as run_module
from privkd.private_training.batches import PoissonDraws, draws_for
from privkd.private_training.clipping.clipper import Clipper
from privkd.trainer import Stage, Task, Trainer, Update, seeded
from privkd.trainer.checkpoints.same_run import digest_of

N, BATCH, STEPS = 400, 40, 20


class Linear(Task):
    """Squared error of a linear map; remembers the gradients that its optimiser sees."""

    def __init__(self, width=5, out=1, scale=1.0, **options):
        with seeded(0):
            net = nn.Linear(width, out)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        super().__init__(modules={"net": net}, optimizers=[optimizer], **options)
        self.net, self.scale, self.seen = net, scale, []
        optimizer.register_step_pre_hook(lambda *_: self.seen.append(self.flat()))

    def flat(self):
        return torch.cat([p.grad.flatten().double() for p in self.net.parameters()])

    def per_record(self, batch, context):
        x, y = batch.tensors
        return {"square": self.scale * (self.modules["net"](x).squeeze(1) - y).square()}


class Interrupted(Linear):
    """Stops the run once at each of some steps, at the first pass over a batch; files in a folder tell that it has."""

    def __init__(self, folder, *steps):
        super().__init__()
        self.folder, self.steps, self.taken = folder, steps, {}

    def per_record(self, batch, context):
        mark = self.folder / f"stopped-{context.step}"
        if context.step in self.steps and not mark.exists():
            mark.touch()
            raise KeyboardInterrupt
        self.taken[context.step] = batch.index  # the last pass of a step is the one that trains; checks come before
        return super().per_record(batch, context)


def rows(n=N, width=5):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, width, generator=generator)
    return x, x.sum(dim=1)


def trained(task=None, data=None, *, steps=STEPS, batch_size=BATCH, trainer=None, **settings):
    task = task or Linear()
    settings = {"multiplier": 1.0, "source": SeededNoise(0)} | settings
    private = PrivateGradients(**settings)
    history = Trainer(steps=steps, batch_size=batch_size, privacy=private, device="cpu", **(trainer or {})).run(
        task, data or rows()
    )
    return task, history


# The four faults that make an epsilon a lie. `noise_is_right` and `sums_are_right` fail for each of them, see below.


def noise_is_right(clip=0.3, multiplier=1.7, steps=200):
    """Where gradients are zero, what the optimiser sees is N(0, (multiplier clip / batch)^2), independent over steps."""
    task = Linear(width=30, scale=0.0)
    trained(task, rows(width=30), steps=steps, clip=clip, multiplier=multiplier, source=SeededNoise(3))
    seen = torch.stack(task.seen) * BATCH / (clip * multiplier)
    count = seen.numel()
    assert seen.square().mean().item() == pytest.approx(1.0, abs=5 * math.sqrt(2 / count))
    assert abs(seen.mean().item()) < 5 / math.sqrt(count)
    neighbours = (seen[1:] * seen[:-1]).mean().item()
    assert abs(neighbours) < 5 / math.sqrt(count)


class NoNoise(NoiseSource):
    """Samples, but adds nothing: for looking at the sums alone."""

    secure = False

    def __init__(self):
        self._inner = SeededNoise(0)

    def words(self, count):
        return self._inner.words(count)

    def normal(self, shape, *, std):
        return torch.zeros(shape, dtype=torch.float64)


def sums_are_right(clip=0.5):
    """Without noise, the gradient is the sum of the sampled records' clipped gradients over the EXPECTED batch size."""
    task, data = Linear(), rows()
    draws, source = [], NoNoise()
    original = PoissonDraws._draw

    class Watching(PoissonDraws):
        pass

    def drawn(self, step):
        draws.append(original(self, step))
        return draws[-1]

    before = {name: p.detach().clone() for name, p in task.net.named_parameters()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PoissonDraws, "_draw", drawn)
        trained(task, data, steps=1, clip=clip, source=source)
    total = torch.zeros(6, dtype=torch.float64)
    long = 0
    for row in draws[0].tolist():
        x, y = data[0][row].double(), data[1][row].double()
        slope = 2 * (before["weight"].double()[0] @ x + before["bias"].double()[0] - y)
        gradient = torch.cat([slope * x, slope.reshape(1)])
        long += bool(gradient.norm() > clip)
        total += gradient * min(1.0, clip / float(gradient.norm()))
    assert long > 0
    assert len(draws[0]) != BATCH  # so that dividing by the realised size would be seen
    assert torch.allclose(task.seen[0], total / BATCH, atol=1e-4 * clip / BATCH * len(draws[0]))


def test_the_noise_has_the_stated_size():
    noise_is_right()


def test_the_sum_is_that_of_clipped_records_over_the_expected_number():
    sums_are_right()


def forgotten(monkeypatch):
    monkeypatch.setattr(run_module, "_noised", lambda total, bound, multiplier, source, banded: total)


def a_quarter(monkeypatch):
    honest = run_module._noised
    monkeypatch.setattr(
        run_module, "_noised", lambda total, bound, multiplier, *rest: honest(total, bound, multiplier / 4, *rest)
    )


def repeated(monkeypatch):
    honest, kept = run_module._noised, {}
    monkeypatch.setattr(
        run_module, "_noised", lambda total, *rest: kept.setdefault("noise", honest(total, *rest) - total) + total
    )


def per_batch(monkeypatch):
    def clipped(self, *batch):
        plain = Clipper(self._job.model, self._job.loss_per_sample, 1e9, "loop")
        whole = plain.__class__._run(plain, batch) if len(batch[0]) else call(self, *batch)
        norm = math.sqrt(sum(float(g.square().sum()) for g in whole.gradients.values()))
        factor = min(1.0, self.rule.bound / max(norm, 1e-9))
        for value in whole.gradients.values():
            value.mul_(factor)
        object.__setattr__(whole, "rule", self.rule)
        return whole

    call = Clipper.__call__
    monkeypatch.setattr(Clipper, "__call__", clipped)


def realised_divisor(monkeypatch):
    fill = run_module.PrivateRun.fill

    def wrong(self, batch, context):
        result = fill(self, batch, context)
        for parameter in self._gradients.trained.values():
            parameter.grad *= self._draws.divisor / max(1, len(batch.index))
        return result

    monkeypatch.setattr(run_module.PrivateRun, "fill", wrong)


@pytest.mark.parametrize("fault", [forgotten, a_quarter, repeated])
def test_faults_in_the_noise_are_seen(fault, monkeypatch):
    fault(monkeypatch)
    with pytest.raises(AssertionError):
        noise_is_right()


@pytest.mark.parametrize("fault", [per_batch, realised_divisor])
def test_faults_in_the_sum_are_seen(fault, monkeypatch):
    fault(monkeypatch)
    with pytest.raises(AssertionError):
        sums_are_right()


# What is charged, and when.


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"clip": Quantile(start=0.5)},
        {"sampling": "fixed-size"},
        {"sampling": "shuffled"},
        {"noise": Banded(4)},
        {"noise": Banded(10), "adjacency": "replace-one"},
        {"adjacency": "replace-one"},
    ],
)
def test_the_reached_epsilon_is_within_the_budget_and_close_to_it(settings):
    plan = PrivateGradients(epsilon=2.0, **settings).plan(rows=N, batch_size=BATCH, steps=STEPS)
    adjacency = settings.get("adjacency") or plan.draws.adjacencies[0]
    again = epsilon(plan.event, 1e-5, adjacency=adjacency)
    assert again.upper <= 2.0
    assert 2.0 - again.upper <= 2e-3


class Recording(NoiseSource):
    """Notes what the ledger held whenever something was drawn."""

    secure = True

    def __init__(self, ledger):
        self.ledger, self.held = ledger, []

    def words(self, count):
        self.held.append(len(self.ledger.events))
        return SeededNoise(len(self.held)).words(count)


def test_the_whole_run_is_charged_before_anything_is_drawn():
    ledger = Ledger(adjacency="add-remove", delta=1e-5)
    source = Recording(ledger)
    trained(trainer={"ledger": ledger}, source=source)
    assert len(source.held) >= 2 * STEPS
    assert set(source.held) == {1}
    assert ledger.events == (Gaussian(1.0).poisson(BATCH / N) * STEPS,)


def test_a_ledger_that_refuses_leaves_everything_as_it_was():
    ledger = Ledger(adjacency="add-remove", epsilon=0.1, delta=1e-5)
    source, task = Recording(ledger), Linear()
    before = task.net.weight.detach().clone()
    with pytest.raises(BudgetExceeded):
        trained(task, trainer={"ledger": ledger}, source=source)
    assert source.held == []
    assert torch.equal(task.net.weight, before)
    assert ledger.events == ()


def test_the_certificate_says_what_is_protected_and_follows_from_its_ledger(tmp_path):
    class System(SeededNoise):
        secure = True  # for this test alone: the sentence of a secure run, repeatable

    _, history = trained(trainer={"folder": tmp_path}, multiplier=None, epsilon=3.0, source=System(0))
    certificate = history.certificate
    assert certificate.scope == "training-record"
    assert certificate.epsilon <= 3.0
    assert "every iterate of the training may be seen" in str(certificate)
    assert "every record's gradient was clipped" in str(certificate)
    certificate.verify()
    report = audit(Ledger.read(tmp_path / "ledger.json"))
    assert list(report.flags) == []
    assert report.exit_code == 0
    assert json.loads((tmp_path / "certificate.json").read_text())["sentence"] == str(certificate)
    assert privkd.CertifiedModel(Linear().net, certificate).certificate is certificate


def test_seeded_noise_is_for_tests_and_the_certificate_says_so():
    _, history = trained()
    assert "VOID OUTSIDE TESTS" in str(history.certificate)
    assert "seeded" in history.certificate.ledger.disclosed[0]


def test_a_user_may_be_the_unit():
    assert trained(unit="training-user")[1].certificate.scope == "training-user"


def test_losses_are_kept_quiet_unless_asked_and_then_nothing_is_guaranteed(tmp_path):
    class Validating(Linear):
        def validate(self, context):
            raise AssertionError("figures of private rows would be a leak")

    _, quiet = trained(Validating(), trainer={"folder": tmp_path})
    assert quiet.names == ["step"]
    assert "square" not in (tmp_path / "metrics.jsonl").read_text()
    _, loud = trained(trainer={"unsafe_logging": True})
    assert "loss" in loud.names
    assert loud.certificate.scope == "none"
    assert "without noise" in str(loud.certificate)


# Behaviour of the run.


def test_it_learns():
    task, history = trained(steps=300, multiplier=None, epsilon=8.0, clip=2.0)
    assert float((task.net.weight - 1.0).abs().max()) < 0.15
    assert history.certificate.epsilon <= 8.0


def test_micro_batches_and_views_change_nothing_that_they_should_not():
    whole, _ = trained()
    parts, _ = trained(trainer={"accumulate": 8})
    views, _ = trained(views=3)  # three equal views: their mean is the record's own gradient
    assert torch.allclose(whole.net.weight, parts.net.weight, atol=1e-6)
    assert torch.allclose(whole.net.weight, views.net.weight, atol=1e-5)


def test_views_are_averaged_before_they_are_clipped():
    class Augmented(Linear):
        def per_record(self, batch, context):
            x = batch.tensors[0]
            signs = torch.tensor([1.0, -1.0]).repeat(len(x) // 2)  # two views that pull against each other
            return {"pull": 1000.0 * signs * self.modules["net"](x).squeeze(1)}

    task = Augmented()
    trained(task, steps=1, views=2, source=NoNoise())
    assert float(task.seen[0].norm()) < 1e-3


def test_a_record_with_an_infinite_gradient_has_no_influence_and_the_run_goes_on():
    x, y = rows()
    x[7], y[9] = float("inf"), float("nan")
    broken, _ = trained(data=(x, y), batch_size=N)
    keep = [row for row in range(N) if row not in (7, 9)]
    assert bool(broken.net.weight.isfinite().all())
    clean = Linear()
    trained(clean, (x[keep], y[keep]), batch_size=N, steps=1, source=NoNoise())
    again = Linear()
    trained(again, (x, y), batch_size=N, steps=1, source=NoNoise())
    assert torch.allclose(clean.seen[0] * len(keep), again.seen[0] * N, rtol=1e-5)


def test_empty_batches_are_steps_with_noise_alone():
    task, _ = trained(data=rows(3), batch_size=1, steps=30, delta=1e-2)
    assert len(task.seen) == 30
    assert all(bool(one.isfinite().all()) and float(one.norm()) > 0 for one in task.seen)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_data_set_that_is_read_row_by_row_trains_alike(workers):
    class Read(torch.utils.data.Dataset):
        def __init__(self, n):
            self.data = rows(n)

        def __len__(self):
            return len(self.data[0])

        def __getitem__(self, row):
            return self.data[0][row], self.data[1][row]

    # Reading ahead draws batches before the noise of earlier steps, so the streams of one seed differ: no noise here.
    one, _ = trained(data=rows(4), batch_size=1, steps=12, delta=1e-2, source=NoNoise())
    two, _ = trained(data=Read(4), batch_size=1, steps=12, delta=1e-2, source=NoNoise(), trainer={"workers": workers})
    assert torch.allclose(one.net.weight, two.net.weight, atol=1e-6)


def test_averages_and_schedules_follow_the_noisy_weights():
    task = Linear(averaged={"net": 0.5})
    trained(task)
    assert not torch.equal(task.averages["net"].weight, task.net.weight)
    assert torch.allclose(task.averages["net"].weight, task.net.weight, atol=0.5)


def test_an_adaptive_norm_moves_in_the_run():
    class Watching(Linear):
        pass

    task = Watching()
    private = PrivateGradients(multiplier=0.5, clip=Quantile(start=100.0), source=SeededNoise(0))
    state = {}
    begin = PrivateGradients.begin

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PrivateGradients, "begin", lambda self, setting: state.setdefault("run", begin(self, setting)))
        Trainer(steps=50, batch_size=BATCH, privacy=private, device="cpu").run(task, rows())
    assert state["run"].state_dict()["bound"] < 30.0


@pytest.mark.parametrize("settings", [{}, {"clip": Quantile(start=0.5)}, {"noise": Banded(4)}])
def test_a_stopped_run_goes_on_without_a_second_charge(tmp_path, settings):
    folder = {"folder": tmp_path / "run", "checkpoint_every": 5}
    with pytest.raises(KeyboardInterrupt):
        trained(Interrupted(tmp_path, 13), trainer=folder, **settings)
    before = Ledger.read(tmp_path / "run" / "ledger.json")
    task, history = trained(Interrupted(tmp_path, 13), trainer=folder, **settings)
    assert len(task.seen) == STEPS - 10
    after = history.certificate.ledger
    assert after.events == before.events
    assert len(after.events) == 1


def test_a_ledger_of_the_caller_is_charged_once_per_run_also_if_the_run_goes_on(tmp_path):
    ledger = Ledger(adjacency="add-remove", delta=1e-5)
    with pytest.raises(KeyboardInterrupt):
        trained(Interrupted(tmp_path, 13), trainer={"folder": tmp_path / "a", "checkpoint_every": 5, "ledger": ledger})
    trained(Interrupted(tmp_path, 13), trainer={"folder": tmp_path / "a", "checkpoint_every": 5, "ledger": ledger})
    assert len(ledger.events) == 1
    trained(Interrupted(tmp_path, 13), trainer={"folder": tmp_path / "b", "checkpoint_every": 5, "ledger": ledger})
    assert len(ledger.events) == 2  # another run, although with equal settings


def test_a_run_whose_ledger_is_gone_does_not_go_on(tmp_path):
    trainer = {"folder": tmp_path, "checkpoint_every": 5}
    with pytest.raises(KeyboardInterrupt):
        trained(Interrupted(tmp_path, 13), trainer=trainer)
    other = Ledger(adjacency="add-remove", delta=1e-5)
    (tmp_path / "ledger.json").unlink()
    other.save(tmp_path / "ledger.json")
    with pytest.raises(LedgerError, match="no charge of this run"):
        trained(Interrupted(tmp_path, 13), trainer=trainer)


# What is refused.


class Mixing(Linear):
    def __init__(self):
        super().__init__()
        self.modules["norm"] = nn.BatchNorm1d(5)


class Game(Linear):
    per_record = Task.per_record

    def step(self, batch, context):
        yield Update({"a": self.modules["net"](batch.tensors[0]).mean()}, ("0",))


class Foreign(Linear):
    def __init__(self):
        super().__init__()
        self.optimizers["0"].add_param_group({"params": [nn.Parameter(torch.zeros(3))]})


class Mean(Linear):
    def per_record(self, batch, context):
        return {name: loss.mean() for name, loss in super().per_record(batch, context).items()}


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (Mixing, MixedRecordsError, r"privkd\.fix"),
        (Game, TaskError, "no losses per record"),
        (Foreign, TaskError, "move parameters of no module"),
        (Mean, TaskError, "one number per row"),
    ],
)
def test_tasks_that_cannot_be_private_are_refused_before_anything_is_drawn(make, error, message):
    task, ledger = make(), Ledger(adjacency="add-remove", delta=1e-5)
    before = task.net.weight.detach().clone()
    with pytest.raises(error, match=message):
        trained(task, trainer={"ledger": ledger})
    assert torch.equal(task.net.weight, before)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "epsilon"),
        ({"epsilon": 1.0, "multiplier": 1.0}, "exactly one"),
        ({"epsilon": 0.0}, "epsilon"),
        ({"epsilon": 1.0, "delta": 0.0}, "delta"),
        ({"epsilon": 1.0, "clip": -1.0}, "bound"),
        ({"epsilon": 1.0, "sampling": "uniform"}, "sampling='uniform'"),
        ({"epsilon": 1.0, "sampling": "shuffled", "adjacency": "add-remove"}, "stated for zero-out"),
        ({"epsilon": 1.0, "noise": Banded(3), "adjacency": "add-remove"}, "stated for zero-out, replace-one"),
        ({"epsilon": 1.0, "noise": Banded(3), "clip": Quantile()}, "Quantile"),
        ({"epsilon": 1.0, "unit": "teacher"}, "unit='teacher'"),
        ({"epsilon": 1.0, "views": 0}, "views"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        PrivateGradients(**settings)


def test_a_delta_that_would_allow_one_record_to_be_published_is_refused():
    with pytest.raises(ValueError, match="below 1/400"):
        trained(delta=0.01)


@pytest.mark.parametrize("setting", [{"clip_norm": 1.0}, {"sharded": True}, {"compile": True}, {"precision": "fp16"}])
def test_settings_of_the_trainer_that_do_not_go_with_privacy_are_refused(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        Trainer(steps=1, privacy=PrivateGradients(epsilon=1.0), **setting)


def test_one_stage_with_one_data_set():
    trainer = Trainer(steps=1, privacy=PrivateGradients(epsilon=1.0))
    with pytest.raises(ValueError, match="one stage"):
        trainer.run([Stage("a", Linear(), rows()), Stage("b", Linear(), rows())])
    with pytest.raises(ValueError, match="beside"):
        trainer.run(Linear(), rows(), beside={"more": rows()})


def test_a_task_without_losses_of_any_kind_says_what_to_write():
    class Nothing(Task):
        def __init__(self):
            net = nn.Linear(1, 1)
            super().__init__(modules={"net": net}, optimizers=[torch.optim.SGD(net.parameters(), lr=0.1)])

    with pytest.raises(TaskError, match="write per_record"):
        Trainer(steps=1).run(Nothing(), rows())


def test_the_plain_run_of_such_a_task_minimises_the_means():
    task = Linear()
    history = Trainer(steps=200, batch_size=BATCH, device="cpu").run(task, rows())
    assert history[-1]["square"] < 1e-3
    assert torch.allclose(task.net.weight, torch.ones(1, 5), atol=0.05)


# What an attacker may use.


def test_masks_are_secret_whatever_the_seed():
    class Dropped(Linear):
        def per_record(self, batch, context):
            noisy = torch.randn(3, generator=context.generator)
            self.drawn = (*getattr(self, "drawn", ()), (*noisy.tolist(), float(torch.rand(()))))
            return super().per_record(batch, context)

    one, two = (trained(Dropped(), trainer={"seed": 0})[0].drawn for _ in range(2))
    assert not set(one) & set(two)


def test_a_ledger_of_another_adjacency_decides_the_noise_or_is_refused():
    ledger = Ledger(adjacency="replace-one", delta=1e-5)
    _, history = trained(trainer={"ledger": ledger}, multiplier=None, epsilon=3.0, noise=Banded(4))
    assert history.certificate.adjacency == "replace-one"
    assert (
        ledger.events[0]
        == PrivateGradients(epsilon=3.0, noise=Banded(4), adjacency="replace-one")
        .plan(rows=N, batch_size=BATCH, steps=STEPS)
        .event
    )
    assert history.certificate.epsilon <= 3.0
    for given, settings, message in [
        (Ledger(adjacency="add-remove", delta=1e-5), {"noise": Banded(4)}, "stated for zero-out"),
        (Ledger(adjacency="add-remove", delta=1e-5), {"adjacency": "zero-out"}, "use one for both"),
        (Ledger(adjacency="add-remove", delta=1e-5, unit="training-user"), {}, "counts 'training-user'"),
        (Ledger(adjacency="add-remove", delta=1e-5, n=7), {}, "n=7"),
    ]:
        task = Linear()
        with pytest.raises(ValueError, match=message):
            trained(task, trainer={"ledger": given}, **settings)
        assert task.seen == []
        assert given.events == ()


def test_a_record_takes_part_once_in_a_pass_however_often_the_run_is_stopped(tmp_path):
    seen = {}
    settings = {"sampling": "shuffled", "trainer": {"folder": tmp_path / "run", "checkpoint_every": 1}, "steps": 10}
    for stops in (True, True, False):
        task = Interrupted(tmp_path, 3, 7)
        with pytest.raises(KeyboardInterrupt) if stops else nullcontext():
            trained(task, **settings)
        seen |= task.taken
    taken = torch.cat([seen[step] for step in range(10)])
    assert len(taken) == N
    assert len(set(taken.tolist())) == N


def test_a_run_without_its_checkpoints_does_not_begin_anew_for_free(tmp_path):
    import shutil

    trained(trainer={"folder": tmp_path})
    shutil.rmtree(tmp_path / "checkpoints")
    with pytest.raises(LedgerError, match="of an earlier run"):
        trained(trainer={"folder": tmp_path})


def test_a_run_that_is_killed_before_its_first_steps_goes_on_with_its_one_charge(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        trained(Interrupted(tmp_path, 0), trainer={"folder": tmp_path / "run"})
    _, history = trained(Interrupted(tmp_path, 0), trainer={"folder": tmp_path / "run"})
    assert len(history.certificate.ledger.events) == 1


def test_no_more_steps_than_charged_are_released():
    class Resetting(Linear):
        def on_epoch_start(self, context):
            if context.step == 10 and not hasattr(self, "once"):
                self.once = True
                context.step = 0

    task = Resetting()
    with pytest.raises(TaskError, match="charged for 20 steps"):
        trained(task)
    assert len(task.seen) == STEPS


def test_parameters_that_no_optimiser_moves_are_named():
    class Partly(Linear):
        def __init__(self):
            super().__init__()
            self.modules["backbone"] = nn.Linear(5, 5)

    with pytest.raises(TaskError, match=r"backbone\.weight"):
        trained(Partly())


def test_losses_that_are_no_mapping_are_told():
    class Bare(Linear):
        def per_record(self, batch, context):
            return super().per_record(batch, context)["square"]

    with pytest.raises(TaskError, match="gave Tensor; return named losses"):
        trained(Bare())


class Thawing(Linear):
    """Freezes a parameter in the middle of the run."""

    def on_epoch_start(self, context):
        if context.epoch == 1:
            self.net.bias.requires_grad_(False)


def test_freezing_in_the_middle_of_a_run_is_told():
    with pytest.raises(TaskError, match=r"requires_grad of net.bias changed since the run began"):
        trained(Thawing())


class Talkative(Linear):
    """Says something of its rows."""

    def per_record(self, batch, context):
        warnings.warn(f"seen: {batch.tensors[0][:1].tolist()}", stacklevel=1)
        return super().per_record(batch, context)


def test_warnings_of_a_private_run_are_kept_quiet():
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        trained(Talkative(), steps=3)
    assert not [one for one in told if "seen" in str(one.message)]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        trained(Talkative(), steps=3, trainer={"unsafe_logging": True})
    assert [one for one in told if "seen" in str(one.message)]


class Denoising(Linear):
    """Draws a level of noise for every record, as diffusion models do."""

    def per_record(self, batch, context):
        x, y = batch.tensors
        level = torch.rand(len(x), 1, generator=context.generator)
        return {"square": (self.modules["net"](x * level).squeeze(1) - y).square()}


def test_losses_that_draw_from_the_context_are_covered_record_by_record(monkeypatch):
    chosen = []
    original = Clipper.__call__

    def watched(self, *batch):
        result = original(self, *batch)
        chosen.append((self.strategy, self.reasons))
        return result

    monkeypatch.setattr(Clipper, "__call__", watched)
    trained(Denoising(), steps=4)
    assert [strategy for strategy, _ in chosen] == ["vmap"] * 4
    assert "random" in chosen[0][1][0]


def test_the_audit_flags_gradients_of_opacus_unless_the_layout_guard_is_disclosed():
    pytest.importorskip("opacus")
    _, history = trained(steps=2, strategy="opacus")
    guarded = history.certificate.ledger
    assert not [flag for flag in audit(guarded).flags if "opacus" in flag]
    bare = Ledger(adjacency="add-remove", n=N)
    bare.charge(Gaussian(1.0).poisson(0.1) * 2, where="opacus 1.6.0, ghost")
    assert [flag for flag in audit(bare).flags if "layout guard" in flag]


def test_a_record_takes_part_once_in_a_pass_also_when_reading_ahead_has_begun_the_next(tmp_path):
    """A checkpoint holds the pass in hand and the one that workers read already."""
    ahead = draws_for("shuffled", 80, 10, SeededNoise(0), (0, 1))
    ahead.at(9)
    seen = [ahead.at(step) for step in range(7)]
    state = ahead.state_dict()
    again = draws_for("shuffled", 80, 10, SeededNoise(1), (0, 1))
    again.load_state_dict(state)
    passed = torch.cat([*seen, again.at(7)])
    assert len(set(passed.tolist())) == 80
    assert torch.equal(again.at(9), ahead.at(9))


def test_data_that_a_function_makes_are_the_same_when_a_private_run_goes_on(tmp_path):
    def made():
        order = torch.randperm(N)[: N // 2]
        return tuple(part[order] for part in rows())

    def run():
        private = PrivateGradients(multiplier=1.0, source=SeededNoise(0), delta=1e-5)
        trainer = Trainer(
            steps=8, batch_size=20, privacy=private, device="cpu", folder=tmp_path / "run", checkpoint_every=2
        )
        return trainer.run([Stage("only", Interrupted(tmp_path, 5), made)])

    with pytest.raises(KeyboardInterrupt):
        run()
    assert run().certificate is not None


def test_what_a_task_begins_to_mix_in_its_last_steps_is_found_before_the_certificate():
    class Late(Linear):
        def per_record(self, batch, context):
            losses = super().per_record(batch, context)["square"]
            return {"square": losses * (losses.detach().mean() if context.step >= 17 else 1.0)}

    with pytest.raises(MixedRecordsError):
        trained(Late(), steps=20)  # checks at batches 1, 2, 4, 8 and 16 see nothing


def test_modules_whose_names_differ_by_a_dot_alone_are_refused():
    class Two(Linear):
        def __init__(self):
            super().__init__()
            self.modules = {"a.b": self.net, "a_b": nn.Linear(1, 1)}

    with pytest.raises(TaskError, match="a_b"):
        trained(Two())


def test_groups_of_layers_without_any_parameter_are_refused():
    with pytest.raises(ValueError, match=r"no parameter belongs to 'weight'"):
        trained(clip=PerLayer({"weight": 0.3, "": 0.4}))
    trained(clip=PerLayer({"net.weight": 0.3, "": 0.4}), steps=2)


class Keeping(nn.Module):
    """Keeps what it saw, as models do whose features or attention maps are looked at later."""

    def __init__(self):
        super().__init__()
        with seeded(0):
            self.layer = nn.Linear(5, 1)
        self.features, self.count = None, 0

    def forward(self, x):
        self.features = self.layer(x)
        self.count += len(x)
        return self.features


@pytest.mark.parametrize("frozen", [False, True])
def test_modules_keep_nothing_of_private_rows(frozen):
    class Teaching(Linear):
        def per_record(self, batch, context):
            hint = self.frozen["teacher"](batch.tensors[0]) if frozen else self.modules["keeper"](batch.tensors[0])
            return {"square": super().per_record(batch, context)["square"] + 0.0 * hint.squeeze(1)}

    keeper, task = Keeping(), Teaching(frozen={"teacher": Keeping()} if frozen else {})
    if not frozen:
        task.modules["keeper"] = keeper
        task.optimizers["0"].add_param_group({"params": list(keeper.parameters())})
    kept = task.frozen["teacher"] if frozen else keeper
    trained(task, steps=3)
    assert kept.features is None
    assert kept.count == 0
    kept(rows()[0])
    assert kept.count == N


OTHER = torch.randperm(N, generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize("settings", [{"noise": Banded(4)}, {"sampling": "shuffled"}])
@pytest.mark.parametrize("made", [False, True], ids=["given", "made by a function"])
def test_passes_go_on_with_the_rows_that_they_began_with_in_their_order(tmp_path, settings, made):
    def run(order):
        data = tuple(part[order] for part in rows())
        trainer = Trainer(
            steps=STEPS,
            batch_size=BATCH,
            device="cpu",
            folder=tmp_path / "run",
            checkpoint_every=5,
            privacy=PrivateGradients(multiplier=1.0, source=SeededNoise(0), **settings),
        )
        return trainer.run([Stage("only", Interrupted(tmp_path, 13), (lambda: data) if made else data)])

    with pytest.raises(KeyboardInterrupt):
        run(torch.arange(N))
    with pytest.raises(CheckpointError, match="or come in another order"):
        run(OTHER)
    assert run(torch.arange(N)).certificate is not None


@pytest.mark.parametrize(("sampling", "kept"), [("poisson", False), ("fixed-size", False), ("shuffled", True)])
def test_checkpoints_hold_no_digest_of_rows_where_every_batch_is_paid_for_alone(tmp_path, sampling, kept):
    """Whoever knows all records but one could try that one out."""
    folder = {"folder": tmp_path / "run", "checkpoint_every": 5}
    with pytest.raises(KeyboardInterrupt):
        trained(Interrupted(tmp_path, 13), trainer=folder, sampling=sampling)
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert (digest_of(rows()).encode() in written) is kept
    if not kept:
        other = tuple(part[OTHER] for part in rows())
        assert trained(Interrupted(tmp_path, 13), other, trainer=folder, sampling=sampling)[1].certificate is not None


def test_a_run_without_its_ledger_says_so(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        trained(Interrupted(tmp_path, 13), trainer={"folder": tmp_path, "checkpoint_every": 5})
    (tmp_path / "ledger.json").unlink()
    with pytest.raises(LedgerError, match="is missing; put it back"):
        trained(Interrupted(tmp_path, 13), trainer={"folder": tmp_path, "checkpoint_every": 5})


@pytest.mark.parametrize("weight", ["balanced", "share"])
def test_weights_by_the_counts_of_a_batch_are_found_where_the_class_is_rare(weight):
    x = torch.randn(N, 5, generator=torch.Generator().manual_seed(0))
    y = torch.zeros(N, dtype=torch.long)
    y[::100] = 1

    class Weighted(Linear):
        def per_record(self, batch, context):
            x, y = batch.tensors
            loss = (self.modules["net"](x).squeeze(1) - y).square()
            if weight == "balanced":
                return {"square": loss * len(y) / torch.bincount(y, minlength=2)[y]}
            return {"square": loss * (y == 0) / (y == 0).float().mean()}

    with pytest.raises(MixedRecordsError):
        trained(Weighted(), (x, y), batch_size=200)
