"""A private run that is stopped goes on under its one charge, with its ledger and its rows, or not at all."""

from contextlib import nullcontext

import pytest
import torch
from battery.private_runs import BATCH, STEPS, Interrupted, N, rows, trained

from accountants import Ledger
from privkd.errors import CheckpointError, LedgerError
from privkd.mechanisms import SeededNoise
from privkd.private_training import Banded, PrivateGradients, Quantile
from privkd.private_training.batches import draws_for
from privkd.trainer import Stage, Trainer
from privkd.trainer.checkpoints.same_run import digest_of

OTHER = torch.randperm(N, generator=torch.Generator().manual_seed(7))


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


def test_a_run_without_its_ledger_says_so(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        trained(Interrupted(tmp_path, 13), trainer={"folder": tmp_path, "checkpoint_every": 5})
    (tmp_path / "ledger.json").unlink()
    with pytest.raises(LedgerError, match="is missing; put it back"):
        trained(Interrupted(tmp_path, 13), trainer={"folder": tmp_path, "checkpoint_every": 5})


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
