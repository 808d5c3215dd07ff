"""Saved ensembles: members come back with their votes, nothing is pickled, and what was released stays counted."""

import json
import os
import random
import stat
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier
from torch import nn

from accountants import GNMax, Ledger, LedgerError
from privkd import load, transcribe
from privkd.errors import CheckpointError, PrivkdError
from privkd.networks import VectorNetwork
from privkd.teachers import TeacherEnsemble, load_teacher
from privkd.teachers.files import ensembles as ensemble_files
from privkd.teachers.fitting import EnsembleParts, counting_ledger
from privkd.teachers.member import Member
from privkd.teachers.row_digests import RowDigests
from privkd.teachers.shards import Manifest

X = torch.rand(60, 4, generator=torch.Generator().manual_seed(0))
Y = np.arange(60) % 3


class Own(nn.Module):
    """A class that privkd does not build itself."""

    def __init__(self, width: int = 5) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width), nn.Linear(width, 3))

    def forward(self, x):
        return self.body(x)


def fitted(model):
    return model.fit(X.numpy(), Y)


def ensemble_of(*members: object, ledger: Ledger | None = None) -> TeacherEnsemble:
    listed = [member if isinstance(member, Member) else Member(member, 3) for member in members]
    manifest = Manifest(len(listed), 60, 3, "0" * 64, keyed=True, declared_classes=True, labels=("cat", "dog", "eel"))
    counting = counting_ledger(ledger, records=60)
    return TeacherEnsemble(EnsembleParts(tuple(listed), manifest, (4,), counting, rows=RowDigests(X), size=0.9))


def mixed() -> TeacherEnsemble:
    torch.manual_seed(0)
    return ensemble_of(
        VectorNetwork(4, 3),
        nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3)),
        fitted(LogisticRegression()),
        Member(LogisticRegression().fit(X.numpy(), Y % 2), 3, codes=(1, 2)),
        2,
        Member(0, 3, failed=True),
    )


def small(ledger: Ledger | None = None) -> TeacherEnsemble:
    return ensemble_of(0, 1, 2, 2, ledger=ledger)


def votes(ensemble: TeacherEnsemble) -> torch.Tensor:
    return ensemble.votes(X).unsafe_value()


def edit(folder: Path, **changes: object) -> None:
    index = folder / "ensemble.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), **changes}))


def test_members_of_every_kind_come_back_with_their_votes(tmp_path):
    ensemble = mixed()
    before = votes(ensemble)
    assert ensemble.save(tmp_path / "sub" / "e") == tmp_path / "sub" / "e"
    state = torch.get_rng_state()
    loaded = TeacherEnsemble.load(tmp_path / "sub" / "e")
    assert torch.equal(torch.get_rng_state(), state)  # loading draws from nobody's random state
    assert torch.equal(votes(loaded), before)
    assert loaded.manifest == ensemble.manifest
    assert loaded.input_shape == (4,)
    assert loaded.labels == ("cat", "dog", "eel")
    with pytest.warns(UserWarning, match="scale|range|larger"):
        loaded.warn_of_other_range(255 * X, low=0.0, high=255.0)
    assert torch.equal(loaded.failures.unsafe_value(), ensemble.failures.unsafe_value())
    assert loaded.rows.found(torch.cat([X[:7], X[:1] + 1])) == 7
    assert isinstance(load_teacher(tmp_path / "sub" / "e"), TeacherEnsemble)


def test_an_ensemble_of_other_members_does_not_have_these_votes(tmp_path):
    assert not torch.equal(votes(mixed()), votes(small()))


@pytest.mark.filterwarnings("error")
def test_folder_is_private_says_so_and_holds_no_pickle(tmp_path):
    folder = mixed().save(tmp_path / "e")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert json.loads((folder / "ensemble.json").read_text())["read_me"].startswith("PRIVATE")
    assert {file.suffix for file in folder.iterdir()} == {".safetensors", ".skops", ".json", ".bin"}
    assert [file.name for file in tmp_path.iterdir()] == ["e"]


def test_the_folder_is_not_taken_for_a_release(tmp_path):
    small().save(tmp_path / "own")
    with pytest.raises(CheckpointError, match=r"a saved ensemble, .* TeacherEnsemble.load"):
        load(tmp_path / "own")


def test_network_of_an_own_class_needs_the_function_that_builds_it(tmp_path):
    ensemble = ensemble_of(Own(), Own())
    before = votes(ensemble)
    with pytest.warns(UserWarning, match=r"Own cannot be described.*make_model=.*--model module:function"):
        folder = ensemble.save(tmp_path / "e")
    assert torch.equal(votes(TeacherEnsemble.load(folder, make_model=Own)), before)
    assert torch.equal(votes(load_teacher(folder, model=Own)), before)
    with pytest.raises(CheckpointError, match=r"make_model=.*--model module:function"):
        TeacherEnsemble.load(folder)
    with pytest.raises(CheckpointError, match="no weights were read"):
        TeacherEnsemble.load(folder, make_model=lambda: nn.Linear(4, 3))
    with pytest.raises(CheckpointError, match="does not fit Own"):
        TeacherEnsemble.load(folder, make_model=lambda: Own(6))
    with pytest.raises(ValueError, match="builds a fresh one per member"):
        load_teacher(folder, module=Own())


def test_types_that_skops_does_not_trust_are_refused_by_name_with_the_way_out(tmp_path):
    ensemble = ensemble_of(fitted(DecisionTreeClassifier()), 1)
    with pytest.warns(UserWarning, match=r"trusted=\['sklearn.tree._tree.Tree'\].*--teacher module:function"):
        folder = ensemble.save(tmp_path / "e")
    with pytest.raises(CheckpointError, match=r"trusted=\['sklearn.tree._tree.Tree'\]"):
        TeacherEnsemble.load(folder)
    loaded = TeacherEnsemble.load(folder, trusted=["sklearn.tree._tree.Tree"])
    assert torch.equal(votes(loaded), votes(ensemble))


def test_what_was_released_stays_counted_whoever_loads_the_folder(tmp_path):
    ensemble = small()
    ensemble.ledger.charge(GNMax(50.0), where="before it was saved")
    folder = ensemble.save(tmp_path / "e")
    ensemble.ledger.charge(GNMax(60.0), where="by the one who saved it")
    loaded = TeacherEnsemble.load(folder)
    assert [charge.where for charge in loaded.ledger.charges] == ["before it was saved", "by the one who saved it"]
    transcribe(loaded, epsilon=5.0, delta=1e-4, queries=X[:8] + 2, method="gnmax", seed=0)
    spent = len(loaded.ledger.charges)
    assert spent > 2
    assert len(TeacherEnsemble.load(folder).ledger.charges) == spent
    assert len(Ledger.read(folder / "ledger.json").charges) == spent


def test_an_older_or_missing_ledger_is_refused(tmp_path):
    ensemble = small()
    folder = ensemble.save(tmp_path / "e")
    old = (folder / "ledger.json").read_bytes()
    ensemble.ledger.charge(GNMax(50.0))
    ensemble.save(folder, overwrite=True)
    assert len(TeacherEnsemble.load(folder).ledger.charges) == 1
    (folder / "ledger.json").write_bytes(old)
    with pytest.raises(LedgerError, match="lacks entries"):
        TeacherEnsemble.load(folder)
    (folder / "ledger.json").unlink()
    with pytest.raises(LedgerError, match="missing"):
        TeacherEnsemble.load(folder)


def test_a_shared_ledger_stays_in_its_file_and_may_move(tmp_path):
    shared = Ledger.open(tmp_path / "all.json", adjacency="replace-one", unit="training-record", n=60)
    shared.charge(GNMax(40.0))
    first, second = small(shared).save(tmp_path / "a"), small(shared).save(tmp_path / "b")
    assert not (first / "ledger.json").exists()
    TeacherEnsemble.load(first).ledger.charge(GNMax(50.0))
    assert len(TeacherEnsemble.load(second).ledger.charges) == 2
    (tmp_path / "all.json").rename(tmp_path / "moved.json")
    with pytest.raises(LedgerError, match=r"pass ledger="):
        TeacherEnsemble.load(first)
    assert len(TeacherEnsemble.load(first, ledger=Ledger.open(tmp_path / "moved.json")).ledger.charges) == 2
    other = Ledger.open(tmp_path / "other.json", adjacency="replace-one", unit="training-record", n=60)
    with pytest.raises(LedgerError, match="another ledger"):
        TeacherEnsemble.load(first, ledger=other)


def test_an_ensemble_is_replaced_only_by_one_whose_ledger_counts_its_releases(tmp_path):
    ensemble = small()
    folder = ensemble.save(tmp_path / "e")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        small().save(folder)
    mixed().save(folder, overwrite=True)  # nothing was released from the old one
    loaded = TeacherEnsemble.load(folder)
    assert len(loaded) == 6
    loaded.ledger.charge(GNMax(50.0))
    before = sorted(folder.iterdir())
    with pytest.raises(LedgerError, match=r"would be forgotten.*ledger=Ledger\.open"):
        small().save(folder, overwrite=True)
    assert sorted(folder.iterdir()) == before
    small(loaded.ledger).save(folder, overwrite=True)
    assert len(TeacherEnsemble.load(folder)) == 4
    assert sorted(file.name for file in folder.iterdir() if file.suffix != ".bin") == ["ensemble.json", "ledger.json"]


def test_other_folders_and_files_are_never_written_into(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "precious").touch()
    (tmp_path / "file").touch()
    for name in ("folder", "file"):
        with pytest.raises(FileExistsError, match="holds no ensemble"):
            small().save(tmp_path / name, overwrite=True)
    (tmp_path / "empty").mkdir()
    assert len(TeacherEnsemble.load(small().save(tmp_path / "empty"))) == 4


def test_a_save_that_fails_leaves_the_old_ensemble_or_nothing(tmp_path, monkeypatch):
    class Unsavable:
        def __init__(self):
            self.state = threading.Lock()

        def predict(self, x):
            return np.zeros(len(x), dtype=np.int64)

    bad = ensemble_of(VectorNetwork(4, 3), Unsavable())
    with pytest.raises(TypeError, match=r"skops cannot write a Unsavable.*module:function"):
        bad.save(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []
    folder = small().save(tmp_path / "e")
    before = sorted(folder.iterdir())
    with pytest.raises(TypeError, match="skops cannot write"):
        bad.save(folder, overwrite=True)
    monkeypatch.setattr(ensemble_files, "write_json", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        mixed().save(folder, overwrite=True)
    assert len(TeacherEnsemble.load(folder)) == 4
    assert sorted(folder.iterdir()) == before


def test_every_changed_or_missing_file_is_noticed(tmp_path):
    folder = mixed().save(tmp_path / "e")
    for file in sorted(folder.iterdir()):
        content = file.read_bytes()
        file.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
        with pytest.raises((CheckpointError, LedgerError)):
            TeacherEnsemble.load(folder)
        file.unlink()
        with pytest.raises((CheckpointError, LedgerError)):
            TeacherEnsemble.load(folder)
        file.write_bytes(content)
    assert len(TeacherEnsemble.load(folder)) == 6


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"schema": "privkd.ensemble/2"}, "this version reads"),
        ({"extra": 1}, "unknown fields"),
        ({"members": [{"answer": 0, "failed": False, "codes": None}]}, "1 members are listed for teachers=4"),
        ({"members": [{"answer": 3, "failed": False, "codes": None}] * 4}, "answer=3"),
        ({"members": [{"answer": 0, "failed": "no", "codes": None}] * 4}, "failed='no'"),
        ({"members": [{"answer": 0, "failed": False, "codes": [7]}] * 4}, "code=7"),
        ({"members": [{"file": "../x.skops", "failed": False, "codes": None}] * 4}, "has no checksum"),
        ({"members": [7] * 4}, "never writes"),
        ({"sha256": {"../../etc/passwd": "0" * 64}}, "no file of the folder"),
        ({"input_shape": [0]}, "input_shape=0"),
        ({"size": "large"}, "size="),
        ({"rows": 3}, "rows=3 has no checksum"),
        ({"ledger_head": "0" * 64}, "lacks entries"),
        ({"ledger": "/dev/null/x"}, "is missing"),
    ],
)
def test_impossible_index_is_refused(changes, says, tmp_path):
    folder = small().save(tmp_path / "e")
    edit(folder, **changes)
    with pytest.raises((CheckpointError, LedgerError), match=says):
        TeacherEnsemble.load(folder)


@pytest.mark.parametrize("labels", [["cat", "dog"], ["cat", "cat", "eel"], ["cat", 7, True], 3, [[], [], []]])
def test_impossible_labels_are_refused(labels, tmp_path):
    folder = small().save(tmp_path / "e")
    edit(folder, manifest={**json.loads((folder / "ensemble.json").read_text())["manifest"], "labels": labels})
    with pytest.raises(CheckpointError):
        TeacherEnsemble.load(folder)


def test_a_ledger_of_another_number_of_records_is_refused(tmp_path):
    folder = small().save(tmp_path / "e")
    edit(folder, manifest={**json.loads((folder / "ensemble.json").read_text())["manifest"], "records": 61})
    with pytest.raises(LedgerError, match="does not count this ensemble"):
        TeacherEnsemble.load(folder)


def test_random_damage_raises_errors_of_one_family(tmp_path):
    folder = mixed().save(tmp_path / "e")
    chance = random.Random(0)
    files = sorted(folder.iterdir())
    for _ in range(60):
        file = chance.choice([folder / "ensemble.json", *files])
        content = file.read_bytes()
        place = chance.randrange(len(content))
        changed = content[:place] + chance.choice([b"", b"0", b"}", b"\xff", b"99999999"]) + content[place + 1 :]
        file.write_bytes(changed)
        try:
            TeacherEnsemble.load(folder)
        except PrivkdError:
            pass
        finally:
            file.write_bytes(content)


@pytest.mark.timeout(30)
def test_pipes_in_place_of_files_are_refused_without_waiting(tmp_path):
    folder = mixed().save(tmp_path / "e")
    for file in sorted(folder.iterdir()):
        content = file.read_bytes()
        file.unlink()
        os.mkfifo(file)
        with pytest.raises((CheckpointError, LedgerError)):
            TeacherEnsemble.load(folder)
        file.unlink()
        file.write_bytes(content)


def test_skops_files_that_unfold_are_refused(tmp_path):
    import zipfile

    from privkd.storage import sha256_of

    folder = ensemble_of(fitted(LogisticRegression()), 1).save(tmp_path / "e")
    [path] = folder.glob("*.skops")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(10**6))
    edit(folder, sha256={**json.loads((folder / "ensemble.json").read_text())["sha256"], path.name: sha256_of(path)})
    with pytest.raises(CheckpointError, match="unfolds to"):
        TeacherEnsemble.load(folder)
