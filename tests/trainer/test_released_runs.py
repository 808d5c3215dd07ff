"""A run with private gradients is released like any other student, and nothing calls its folder false."""

import hashlib
import json
import os
import shutil
from contextlib import suppress

import pytest
import torch
from torch import nn
from torch.nn import functional
from typer.testing import CliRunner

import privkd
from accountants import Ledger
from privkd.cli.app import app
from privkd.data import load
from privkd.errors import CheckpointError, GuaranteeError
from privkd.networks import VectorNetwork
from privkd.private_training import PrivateGradients
from privkd.report import report_of
from privkd.trainer import Checkpoints, Task, Trainer


class Classify(Task):
    def __init__(self, **modules):
        super().__init__(
            modules=modules,
            optimizers=[torch.optim.SGD([p for one in modules.values() for p in one.parameters()], lr=0.5)],
        )

    def per_record(self, batch, context):
        x, y = batch.tensors
        logits = sum(module(x) for module in self.modules.values())
        return {"ce": functional.cross_entropy(logits, y, reduction="none")}


def run(privacy=None, **settings):
    data = torch.randn(60, 4), torch.randint(0, 3, (60,))
    modules = settings.pop("modules", None) or {"net": VectorNetwork(4, 3, hidden=8)}
    privacy = PrivateGradients(multiplier=20.0, delta=1e-3, clip=1.0) if privacy is None else privacy
    return Trainer(steps=3, batch_size=20, privacy=privacy or None, **settings).run(Classify(**modules), data)


def command(*arguments):
    done = CliRunner().invoke(app, [str(one) for one in arguments])
    return done.exit_code, " ".join(done.output.split())


def test_a_private_run_is_saved_loaded_audited_and_reported_like_a_transcription(tmp_path):
    net = VectorNetwork(4, 3, hidden=8)
    made = run(modules={"net": net}).release()
    folder = made.save(tmp_path / "study" / "private")
    loaded = privkd.load(folder)
    x = torch.randn(5, 4)
    assert torch.equal(loaded.student(x), net(x))
    assert loaded.certificate == made.certificate
    assert loaded.certificate.verify().upper <= 1.0
    assert (loaded.method, loaded.spec, loaded.generator) == ("private-training", None, None)
    assert loaded.history == made.history
    assert all(set(row) == {"step"} for row in loaded.history)  # nothing private
    code, said = command("audit", folder)
    assert code == 0
    assert "holds, recomputed" in said
    made.save(tmp_path / "study" / "again")
    assert [release.problem for release in report_of(tmp_path / "study").releases] == ["", ""]


def test_a_release_becomes_a_certified_teacher_in_one_step(tmp_path):
    loaded = privkd.load(run().release().save(tmp_path / "out"))
    teacher = privkd.CertifiedModel(loaded)
    assert teacher.model is loaded.student
    student = privkd.transcribe(teacher, 1.0, teacher.certificate.delta, queries=torch.randn(30, 4), seed=1)
    assert student.certificate.verify().upper <= 1.0
    assert privkd.load(student.save(tmp_path / "student")).certificate.epsilon == loaded.certificate.epsilon
    with pytest.raises(TypeError, match="brings its own certificate"):
        privkd.CertifiedModel(loaded, loaded.certificate)


def test_the_folder_of_a_run_is_true_and_says_how_it_is_released(tmp_path):
    run(folder=tmp_path / "run")
    code, said = command("audit", tmp_path / "run")
    assert code == 0
    assert "Weights beside it are bound to nothing: audit a release" in said
    with pytest.raises(CheckpointError, match=r"history\.release\(\)\.save\(directory\)"):
        privkd.load(tmp_path / "run")
    (release,) = report_of(tmp_path / "run").releases
    assert release.problem == ""
    assert "history.release().save(directory)" in release.verified
    certificate = json.loads((tmp_path / "run" / "certificate.json").read_text())
    (tmp_path / "run" / "certificate.json").write_text(json.dumps(certificate | {"epsilon": 0.01}))
    assert command("audit", tmp_path / "run")[0] == 1
    assert report_of(tmp_path / "run").problems


def test_a_finished_run_that_is_started_again_gives_the_same_release(tmp_path):
    first = run(folder=tmp_path / "run").release()
    before = (tmp_path / "run" / "ledger.json").read_bytes()
    torch.manual_seed(5)
    again = run(folder=tmp_path / "run").release()
    assert (tmp_path / "run" / "ledger.json").read_bytes() == before
    assert again.certificate == first.certificate
    assert torch.equal(again.student(torch.ones(1, 4)), first.student(torch.ones(1, 4)))


@pytest.mark.parametrize("kind", ["own", "file", "memory"])
def test_a_run_that_has_ended_is_not_continued_from_an_earlier_step(tmp_path, kind):
    """With fresh noise from there on it would be a second student for one charge."""

    def go(folder):
        ledger = {"own": None, "memory": Ledger(adjacency="add-remove", delta=1e-3)}.get(kind)
        if kind == "file":
            ledger = Ledger.open(tmp_path / "records.json", adjacency="add-remove", delta=1e-3)
        return run(folder=folder, ledger=ledger, checkpoint_every=1)

    first = go(tmp_path / "run").release()
    x = torch.ones(1, 4)
    assert torch.equal(go(tmp_path / "run").release().student(x), first.student(x))
    with (tmp_path / "run" / "checkpoints" / "step-000000003" / "tensors.safetensors").open("ab") as file:
        file.write(b"damaged")
    with pytest.raises(
        CheckpointError, match="its charge pays for one result; its latest whole checkpoint is of step 2"
    ):
        go(tmp_path / "run")
    go(tmp_path / "another")  # charged as what it is, a new run


def killed_at_the_end(folder, ledger, monkeypatch):
    """A run whose last checkpoint was never written, so that it has not ended."""
    save = Checkpoints.save

    def dying(self, step, state):
        if step == 3:
            raise KeyboardInterrupt
        return save(self, step, state)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", dying)
        with pytest.raises(KeyboardInterrupt):
            run(folder=folder, ledger=ledger, checkpoint_every=1)


def test_a_run_that_was_killed_goes_on_and_of_two_copies_one_ends(tmp_path, monkeypatch):
    ledger = Ledger.open(tmp_path / "records.json", adjacency="add-remove", delta=1e-3)
    killed_at_the_end(tmp_path / "run", ledger, monkeypatch)
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    assert run(folder=tmp_path / "run", ledger=ledger, checkpoint_every=1).release().certificate.verify()
    with pytest.raises(CheckpointError, match="has ended"):
        run(folder=tmp_path / "copy", ledger=ledger, checkpoint_every=1)
    assert len(ledger.charges) == 1


def test_a_student_put_in_place_of_the_released_one_is_noticed(tmp_path):
    folder = run().release().save(tmp_path / "out")
    other = run().release().save(tmp_path / "other")
    for name in ("student.safetensors", "config.json"):
        (folder / name).write_bytes((other / name).read_bytes())
    config = json.loads((folder / "config.json").read_text())
    config["sha256"] = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in config["sha256"]}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="closed over another student"):
        privkd.load(folder)
    code, said = command("audit", folder)
    assert code == 1
    assert "closed over another student" in said
    assert "closed over another student" in report_of(folder).problems[0]


def test_what_the_certificate_does_not_speak_of_is_not_released():
    with pytest.raises(GuaranteeError, match="this run guarantees nothing"):
        run(privacy=False, ledger=Ledger(adjacency="add-remove", delta=1e-5)).release()
    net = VectorNetwork(4, 3, hidden=8)
    history = run(modules={"net": net})
    with torch.no_grad():
        net.scale.add_(1.0)
    with pytest.raises(GuaranteeError, match="was changed after the run"):
        history.release()


def test_runs_with_one_ledger_are_released_in_any_order():
    ledger = Ledger(adjacency="add-remove", delta=1e-5)
    first = run(ledger=ledger)
    second = run(ledger=ledger)
    costs = [one.release().certificate.verify().upper for one in (second, first)]
    assert costs[0] > costs[1]  # the second certificate counts both


def test_one_of_several_modules_is_named_and_changing_the_module_later_does_not_change_the_release(tmp_path):
    modules = {"one": VectorNetwork(4, 3, hidden=8), "two": nn.Linear(4, 3)}
    history = run(modules=modules)
    for bad in (None, "three"):
        with pytest.raises(ValueError, match="'one', 'two'"):
            history.release(bad)
    made = history.release("two")
    before = modules["two"].weight.detach().clone()
    with torch.no_grad():
        modules["two"].weight.zero_()
    assert torch.equal(made.student.weight, before)
    loaded = privkd.load(made.save(tmp_path / "out"), student=nn.Linear(4, 3))
    assert torch.equal(loaded.student.weight, before)
    assert not report_of(tmp_path / "out").problems


def test_losses_that_were_written_down_stay_out_of_a_release():
    loud = run(unsafe_logging=True)
    assert "loss" in loud.names
    made = loud.release()
    assert made.history == []
    assert made.certificate.scope == "none"


def test_a_save_that_is_killed_leaves_the_old_or_the_new_release(tmp_path, monkeypatch):
    """At every fourth; tests/house/test_storage.py takes every one, of the file system alone."""

    class Killed(BaseException):
        pass

    monkeypatch.setattr(os, "fsync", lambda handle: None)
    old, new = run().release(), run().release()
    allowed = {old.certificate.ledger.digest, new.certificate.ledger.digest}
    for at in range(1, 200, 4):
        target, calls = tmp_path / str(at) / "out", []
        old.save(target)
        allowed.add(old.ledger.digest)

        def guarded(name, call, calls=calls, at=at):
            def guard(*args, **kwargs):
                calls.append(name)
                if len(calls) >= at:
                    raise Killed
                return call(*args, **kwargs)

            return guard

        with monkeypatch.context() as patch, suppress(Killed):
            for name in ("mkdir", "rename", "replace", "rmdir", "unlink", "open", "scandir", "listdir"):
                patch.setattr(os, name, guarded(name, getattr(os, name)))
            new.save(target, overwrite=True)
        found = privkd.load(target)
        assert found.certificate in (old.certificate, new.certificate), calls
        assert found.certificate.verify()
        for hidden in target.parent.glob(".*"):
            assert (hidden / "ledger.json").exists() or not (hidden / "student.safetensors").exists(), calls
        new.save(target, overwrite=True)
        assert os.listdir(target.parent) == ["out"], calls
        if len(calls) < at:
            break
    assert 20 < at < 199


def test_private_training_refuses_names_that_were_found_in_the_records():
    def trained(**words):
        records = load((torch.rand(60, 4), ["a", "b", "c"] * 20), **words)
        privacy = PrivateGradients(multiplier=20.0, delta=1e-3, clip=1.0)
        task = Classify(net=VectorNetwork(4, 3, hidden=8))
        return Trainer(steps=1, batch_size=20, privacy=privacy).run(task, records)

    with pytest.raises(ValueError, match="names of their classes were found"):
        trained(classes="found")
    trained(classes=["c", "b", "a"])
