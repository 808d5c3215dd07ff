"""A saved transcription is whole or absent, comes back as it was, and cannot be changed unnoticed."""

import copy
import dataclasses
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

import privkd
from privkd.errors import CertificateError, CheckpointError, GuaranteeError, LedgerError
from privkd.transcription.result import is_transcription, require_free

ROOT = Path(__file__).parents[2]


@pytest.fixture
def result(ensemble, data):
    return privkd.transcribe(ensemble, 1.0, queries=data.public.inputs, seed=0)


@pytest.fixture
def with_generator(tmp_path):
    made = privkd.transcribe(nn.Linear(64, 10), 2.0, scope="synthetic-label", queries=20, seed=0)
    return made.save(tmp_path / "made")


def test_a_round_trip_keeps_the_student_the_certificate_and_the_ledger(result, data, tmp_path):
    loaded = privkd.load(result.save(tmp_path / "out"))
    assert torch.equal(loaded.student(data.test.inputs), result.student(data.test.inputs))
    assert loaded.certificate == result.certificate
    assert loaded.certificate.verify().upper <= 1.0
    assert loaded.ledger.digest == result.ledger.digest
    assert (loaded.history, loaded.method, loaded.spec) == (result.history, result.method, result.spec)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "certificate.json", "config.json", "history.json", "ledger.json", "student.safetensors",
    ]  # fmt: skip
    assert not loaded.student.training


def test_a_round_trip_keeps_the_generator(trained, tmp_path):
    made = privkd.transcribe(trained, 2.0, scope="synthetic-label", queries=40, seed=0)
    loaded = privkd.load(made.save(tmp_path / "out"))
    z = torch.randn(3, made.generator.latent)
    assert torch.equal(loaded.generator(z), made.generator(z))
    assert loaded.certificate == made.certificate


def test_what_was_written_into_a_network_after_it_was_certified_is_not_saved(trained, tmp_path):
    made = privkd.transcribe(trained, 2.0, scope="synthetic-label", queries=40, seed=0)
    for part in ("student", "generator"):
        network = getattr(made, part)
        weights = next(network.parameters())
        before = weights.detach().clone()
        with torch.no_grad():
            weights.view(-1)[0] = 0.123
        certificate = made.certificate.assuming("nothing")
        for release in (made, dataclasses.replace(made, certificate=certificate)):
            with pytest.raises(GuaranteeError, match=f"the {part} was changed after the release was made"):
                release.save(tmp_path / "out")
        assert not (tmp_path / "out").exists()
        said = dataclasses.replace(made, **{part: copy.deepcopy(network)})  # the caller's word that it is public
        assert privkd.load(said.save(tmp_path / part)).certificate.verify()
        with torch.no_grad():
            weights.copy_(before)
    loaded = privkd.load(made.save(tmp_path / "out"))
    loaded.student.shift[0] += 1.0
    with pytest.raises(GuaranteeError, match="the student was changed"):
        loaded.save(tmp_path / "again")


def test_settings_that_were_changed_after_certification_are_not_saved(result, tmp_path):
    result.student.config["labels"] = ["a private name"]
    with pytest.raises(GuaranteeError, match="the student was changed"):
        result.save(tmp_path / "out")


def test_a_foreign_student_is_loaded_into_its_own_class_only(ensemble, data, tmp_path):
    made = privkd.transcribe(ensemble, 1.0, queries=data.public.inputs, student=nn.Linear(64, 10), seed=0)
    made.save(tmp_path / "out")
    again = privkd.load(tmp_path / "out", student=nn.Linear(64, 10))
    assert torch.equal(again.student.weight, made.student.weight)
    (tmp_path / "out" / "student.safetensors").write_bytes(b"garbage that must not be read")
    for wrong in (None, nn.Sequential(nn.Linear(64, 10))):
        with pytest.raises(CheckpointError, match="no weights were read"):
            privkd.load(tmp_path / "out", student=wrong)


def edit(path, change):
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("name", "change", "error", "match"),
    [
        ("ledger.json", lambda v: v["events"][0]["event"]["event"].update(sigma=900.0), LedgerError, "votes"),
        ("ledger.json", lambda v: v["events"].clear(), LedgerError, ""),
        ("ledger.json", lambda v: v.update(n=10), LedgerError, ""),
        ("certificate.json", lambda v: v.update(epsilon=0.01), CertificateError, "sentence"),
        ("certificate.json", lambda v: v.update(sentence="perfectly safe"), CertificateError, "sentence"),
        ("certificate.json", lambda v: v.update(ledger_digest="0"), CertificateError, "belongs to ledger"),
        ("history.json", lambda v: v.clear(), CheckpointError, "was changed"),
        ("config.json", lambda v: v.update(schema="other"), CheckpointError, "schema"),
        ("config.json", lambda v: v["sha256"].clear(), CheckpointError, "no checksums"),
        (
            "config.json",
            lambda v: v["student"].update(architecture="os.system"),
            CheckpointError,
            "no weights were read",
        ),
        ("config.json", lambda v: v["student"]["settings"].update(hidden=-1), CheckpointError, "settings"),
    ],
)
def test_an_edited_file_is_refused(result, tmp_path, name, change, error, match):
    folder = result.save(tmp_path / "out")
    edit(folder / name, change)
    with pytest.raises(error, match=match):
        privkd.load(folder)


def test_swapped_weights_are_refused(result, tmp_path):
    folder = result.save(tmp_path / "out")
    raw = bytearray((folder / "student.safetensors").read_bytes())
    raw[-1] ^= 1
    (folder / "student.safetensors").write_bytes(raw)
    with pytest.raises(CheckpointError, match=r"student\.safetensors was changed"):
        privkd.load(folder)


@pytest.mark.parametrize("name", ["student.safetensors", "ledger.json", "certificate.json", "config.json"])
def test_a_missing_file_is_refused(result, tmp_path, name):
    folder = result.save(tmp_path / "out")
    (folder / name).unlink()
    with pytest.raises((CheckpointError, FileNotFoundError)):
        privkd.load(folder)


def test_an_existing_folder_is_never_overwritten_by_accident(result, tmp_path):
    folder = result.save(tmp_path / "out")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        result.save(folder)
    result.save(folder, overwrite=True)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("precious")
    with pytest.raises(FileExistsError):
        result.save(mine, overwrite=True)
    assert (mine / "thesis.txt").read_text() == "precious"


def test_a_foreign_folder_with_a_config_is_never_replaced(result, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("precious")
    for foreign in ("{}", '{"schema": "other"}', "[]", "no json", '{"schema": NaN}', "[" * 200_000):
        (mine / "config.json").write_text(foreign)
        assert not is_transcription(mine)
        with pytest.raises(FileExistsError, match="holds no transcription"):
            result.save(mine, overwrite=True)
        assert (mine / "thesis.txt").read_text() == "precious"
        assert (mine / "config.json").read_text() == foreign


def test_what_is_free_to_write_is_said_before_any_work(result, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    folder = result.save(tmp_path / "out")
    assert require_free(tmp_path / "absent") == tmp_path / "absent"
    assert require_free(str(tmp_path / "empty")) == tmp_path / "empty"
    assert require_free(folder, overwrite=True) == folder
    assert is_transcription(folder)
    for taken, overwrite in [("out", False), ("file", True), ("dangling", True)]:
        with pytest.raises(FileExistsError):
            require_free(tmp_path / taken, overwrite=overwrite)


@pytest.mark.parametrize("name", ["config.json", "certificate.json", "history.json"])
@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda text: text.replace("{", '{"extra": NaN,', 1), "NaN is no JSON number"),
        (lambda text: text.replace("{", '{"extra": [1, -Infinity],', 1), "-Infinity is no JSON number"),
        (lambda text: text.replace("{", '{"extra": 1e999,', 1), "too large"),
        (lambda text: text.replace("{", '{"extra": 1, "extra": 1,', 1), "twice"),
        (lambda text: "[" * 200_000, "RecursionError"),
        (lambda text: '{"a":' * 200_000, "RecursionError"),
        (lambda text: '"text"', "must hold a JSON"),
        (lambda text: text.encode("utf-16").decode("latin-1"), "not valid JSON"),
        (lambda text: "9" * 10_000, "not valid JSON"),
    ],
)
def test_json_that_readers_disagree_about_is_refused(result, tmp_path, name, change, match):
    folder = result.save(tmp_path / "out")
    (folder / name).write_text(change((folder / name).read_text()))
    if name == "history.json":  # its checksum is made right, so that its content is what is judged
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        edit(folder / "config.json", lambda v: v["sha256"].update({name: digest}))
    with pytest.raises(CheckpointError, match=match):
        privkd.load(folder)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda v: v["student"]["settings"].update(hidden=10**10), "hidden=10000000000 is above"),
        (lambda v: v["student"]["settings"].update(layers=10**10), "layers=10000000000 is above"),
        (lambda v: v["student"]["settings"].update(layers=10**4), "layers=10000 is above"),
        (lambda v: v["student"]["settings"].update(features=500), "they need .* numbers"),
        (lambda v: v["student"]["settings"].update(hidden="wide"), "settings"),
        (lambda v: v["student"]["settings"].update(unknown=1), "settings"),
        (lambda v: v["student"].pop("settings"), "settings"),
        (lambda v: v["student"].update(settings=[1]), "settings"),
        (lambda v: v["student"].update(architecture=[]), "no weights were read"),
        (lambda v: v["generator"].update(hidden=10**10), "hidden=10000000000 is above"),
        (lambda v: v["generator"].update(shape=[10**9]), "shape=1000000000 is above"),
        (lambda v: v["generator"].update(latent=10**4, hidden=10**4), "they need .* numbers"),
        (lambda v: v["generator"].pop("shape"), "settings"),
        (lambda v: v.update(generator=[3]), "settings"),
        (lambda v: v["sha256"].pop("generator.safetensors"), "no checksums"),
        (lambda v: v.pop("inputs"), "method and inputs"),
        (lambda v: v.pop("method"), "method and inputs"),
    ],
)
def test_sizes_that_the_weights_do_not_have_are_refused_before_memory_is_taken(with_generator, change, match):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    edit(with_generator / "config.json", change)
    with pytest.raises(CheckpointError, match=match):
        privkd.load(with_generator)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024  # KiB


def test_changed_weights_are_refused_before_a_network_is_built(result, tmp_path, monkeypatch):
    folder = result.save(tmp_path / "out")
    raw = bytearray((folder / "student.safetensors").read_bytes())
    raw[-1] ^= 1
    (folder / "student.safetensors").write_bytes(raw)
    monkeypatch.setattr(
        "privkd.transcription.result.declared_network", lambda *args, **_: pytest.fail("a network was built")
    )
    with pytest.raises(CheckpointError, match="was changed"):
        privkd.load(folder)


def test_a_student_of_common_layers_is_loaded_without_being_given(data, tmp_path):
    mine = torch.nn.Sequential(torch.nn.Linear(64, 16), torch.nn.Tanh(), torch.nn.Linear(16, 10))
    records = (data.private.inputs, data.private.labels)
    made = privkd.transcribe(None, 5.0, queries=data.public.inputs, records=records, student=mine, classes=10, seed=0)
    loaded = privkd.load(made.save(tmp_path / "out"))
    assert torch.equal(loaded.student(data.test.inputs), made.student(data.test.inputs))
    assert privkd.CertifiedModel(loaded).certificate.epsilon <= 5.0


def test_a_failure_while_writing_leaves_nothing(result, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "privkd.certificates.release_folder.write_json", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full"))
    )
    with pytest.raises(OSError, match="disk full"):
        result.save(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


SCRIPT = """
import signal, sys, torch, privkd
from torch import nn
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start with it ignored
print("ready", flush=True)
module = nn.Linear(64, 10)
while True:
    result = privkd.transcribe(module, 2.0, scope="synthetic-label", queries=20, seed=0)
    result.save(sys.argv[1], overwrite=True)
    print("saved", flush=True)
"""


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGINT])
def test_a_run_killed_at_any_moment_leaves_no_output_or_a_complete_one(tmp_path, sig):
    target = tmp_path / "out"
    waits = [0.0, 0.31, 0.77, 1.03] if sig == signal.SIGKILL else [0.41]
    for wait in waits:
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(target)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        process.stdout.readline()
        time.sleep(wait)
        process.send_signal(sig)
        process.wait(timeout=60)
        if target.exists():
            assert privkd.load(target).certificate.verify().upper <= 2.0
