"""Files are written whole or not at all, whenever the writer is killed; what is read is bounded, and no pipe hangs."""

import io
import json
import os
import shutil
import threading
from contextlib import contextmanager, suppress

import pytest

from accountants.check import shown
from privkd import storage
from privkd.errors import CheckpointError
from privkd.storage import draft_of, put_back, read_json, sha256_of, write_bytes, write_json, write_text


@pytest.fixture(autouse=True)
def no_power_failure(monkeypatch):
    """Waiting for the disk would only take time here."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


class Killed(BaseException):
    """The process makes no call after it."""


@contextmanager
def killed(at, monkeypatch, *, error: BaseException | type[BaseException] = Killed, once=False):
    """The call of this number to the file system fails, and all after it; gives the list of calls."""
    calls = []

    def guarded(name, call):
        def guard(*args, **kwargs):
            calls.append(name)
            if len(calls) == at or (len(calls) > at and not once):
                raise error
            return call(*args, **kwargs)

        return guard

    with monkeypatch.context() as patch:
        for name in ("mkdir", "rename", "replace", "rmdir", "unlink", "open", "scandir", "listdir", "fsync"):
            patch.setattr(os, name, guarded(name, getattr(os, name)))
        patch.setattr(io, "open", guarded("io.open", io.open))
        patch.setattr(storage, "_exchanged", guarded("exchange", storage._exchanged))
        yield calls


def save(target, content, allowed=lambda: None):
    with draft_of(target, allowed=allowed) as draft:
        write_text(draft / "ledger.json", content)
        write_text(draft / "student", content)
        (draft / "more").mkdir()
        write_text(draft / "more" / "report", content)


def content_of(target):
    """The one content of all files of a whole folder."""
    (content,) = {(target / name).read_text() for name in ("ledger.json", "student", "more/report")}
    return content


@pytest.mark.parametrize("exchanging", [True, False])
@pytest.mark.parametrize("there", [True, False])
def test_a_writer_killed_at_any_call_leaves_the_old_or_the_new_folder(tmp_path, monkeypatch, there, exchanging):
    """Also without the system's exchange of names; the next writer clears away everything that was left."""
    if not exchanging:
        monkeypatch.setattr(storage, "_exchanged", lambda *_: False)
    absent, ended = 0, 0
    for at in range(1, 200):
        target = tmp_path / str(at) / "out"
        if there:
            save(target, "old")
        with killed(at, monkeypatch) as calls, suppress(Killed):
            save(target, "new")
            ended = len(calls) < at
        for found in (path for path in target.parent.glob(".*") if path.is_dir()):
            assert (found / "ledger.json").exists() or not (found / "student").exists(), calls
        absent += there and not target.exists()
        put_back(target)
        assert not there or content_of(target) in ("old", "new"), calls
        assert there or not target.exists() or content_of(target) == "new", calls
        save(target, "last")
        assert content_of(target) == "last"
        assert os.listdir(target.parent) == ["out"], calls
        if ended:
            break
    assert 20 < at < 199
    assert absent == (there and not exchanging)  # the one moment between two renames


@pytest.mark.parametrize("exchanging", [True, False])
def test_an_error_at_any_call_is_told_and_leaves_the_old_or_the_new_folder(tmp_path, monkeypatch, exchanging):
    if not exchanging:
        monkeypatch.setattr(storage, "_exchanged", lambda *_: False)
    for at in range(1, 200):
        target = tmp_path / str(at) / "out"
        save(target, "old")
        with killed(at, monkeypatch, error=OSError(28, "No space left on device"), once=True) as calls:
            try:
                save(target, "new")
                is_told = False
            except OSError:
                is_told = True
        assert content_of(target) in (("old", "new") if is_told else ("new",)), calls
        save(target, "last")
        assert os.listdir(target.parent) == ["out"], calls
        if len(calls) < at:
            break
    assert 20 < at < 199


def test_deleting_first_would_be_noticed(tmp_path, monkeypatch):
    """The obvious way, which loses the only folder when it is killed in between."""

    def careless(draft, target):
        shutil.rmtree(target)
        draft.rename(target)

    monkeypatch.setattr(storage, "_swap", careless)
    lost = 0
    for at in range(1, 80):
        target = tmp_path / str(at) / "out"
        with monkeypatch.context() as patch:
            patch.setattr(storage, "_swap", lambda draft, target: draft.rename(target))
            save(target, "old")
        with killed(at, monkeypatch), suppress(Killed):
            save(target, "new")
        put_back(target)
        with suppress(Exception):
            lost -= content_of(target) in ("old", "new")
        lost += 1
    assert lost >= 3


def test_writers_that_collide_take_turns_and_the_second_sees_what_the_first_wrote(tmp_path):
    target, refusals = tmp_path / "out", []

    def free():
        if target.exists():
            raise FileExistsError(str(target))

    def one(number):
        try:
            save(target, str(number), free)
        except FileExistsError:
            refusals.append(number)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refusals) == 7
    assert int(content_of(target)) not in refusals
    threads = [threading.Thread(target=save, args=(target, str(number))) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert content_of(target) in map(str, range(8))
    assert os.listdir(tmp_path) == ["out"]


def test_a_writer_that_never_ends_is_named_after_a_while(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "_WAIT", 0.05)
    with storage._turn(tmp_path), pytest.raises(CheckpointError, match="another process has been writing"):
        write_text(tmp_path / "a", "b")
    write_text(tmp_path / "a", "b")
    assert (tmp_path / "a").read_text() == "b"


def test_where_folders_cannot_be_locked_nothing_of_others_is_cleared_away(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "_lock", lambda folder: None)
    other = storage._beside(tmp_path / "out", "privkd-draft")
    other.mkdir()
    for content in ("old", "new"):
        save(tmp_path / "out", content)
    assert content_of(tmp_path / "out") == "new"
    assert other.is_dir()


def test_files_of_others_are_never_cleared_away(tmp_path):
    names = [".out.tmp", ".out.12345678.tmp", "out.12345678.privkd-draft", ".out.123.privkd-draft"]
    for name in names:
        (tmp_path / name).write_text("precious")
    save(tmp_path / "out", "new")
    assert sorted(os.listdir(tmp_path)) == sorted([*names, "out"])


@pytest.mark.parametrize("how", ["read_json", "sha256_of"])
@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_only_regular_files_are_read(tmp_path, how, kind):
    path = tmp_path / "x"
    {"pipe": os.mkfifo, "folder": os.mkdir, "device": lambda at: os.symlink("/dev/zero", at)}[kind](path)
    with pytest.raises(CheckpointError, match="no regular file"):
        read_json(path, dict) if how == "read_json" else sha256_of(path)
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "absent", dict)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('{"a": NaN}', "NaN is no JSON number"),
        ('{"a": 1e999}', "too large"),
        ('{"a": 1, "a": 1}', "twice"),
        ('{"a": ' + "9" * 400 + "}", "400 digits"),
        ("[" * 90_000, "RecursionError"),
        ("[" * 200_000, "larger than"),
        ('{"a": ' + "[" * 60 + "]" * 60 + "}", "nested more than 50"),
        ("[1]", "must hold a JSON dict, not list"),
        ("\ufffe", "not valid JSON"),
        (" " * 100_000, "larger than 99999 bytes"),
    ],
)
def test_json_that_readers_disagree_about_or_that_has_no_bound_is_refused(tmp_path, text, match):
    (tmp_path / "x.json").write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match=match):
        read_json(tmp_path / "x.json", dict, at_most=99_999)


def test_json_comes_back_and_what_could_not_be_read_is_not_written(tmp_path):
    value = {"a": [1, -2.5, None, True, "ü\u202e"], "b": {"c": [[]]}}
    write_json(tmp_path / "x.json", value)
    assert read_json(tmp_path / "x.json", dict) == value
    for bad, error in (({"a": float("nan")}, ValueError), ({"a": object()}, TypeError), ({"a": "x" * 100}, ValueError)):
        with pytest.raises(error):
            write_json(tmp_path / "x.json", bad, at_most=80)
    assert json.loads((tmp_path / "x.json").read_text()) == value
    write_bytes(tmp_path / "x.json", b"[]")
    assert read_json(tmp_path / "x.json", list) == []


def test_control_and_direction_characters_are_shown_and_nothing_else_is_changed():
    plain = "ε ≤ 1.0 — “naïve” 日本 \\x1b [a, b]"
    assert shown(plain) == plain
    nasty = "".join(
        map(chr, [*range(32), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x202E, 0x2066, 0x2069, 0x2028, 0xD800, 0xE0001])
    )
    for lines in (False, True):
        done = shown(nasty, lines=lines)
        assert done.isascii()
        assert all(one.isprintable() or (lines and one in "\n\t") for one in done)
        assert shown(done, lines=lines) == done
    assert shown("a\nb\t\x1b", lines=True) == "a\nb\t\\x1b"
    assert shown("a\nb") == "a\\x0ab"
    assert shown(1.5) == "1.5"
