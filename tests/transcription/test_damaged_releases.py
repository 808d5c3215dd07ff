"""Whatever a folder holds in place of a release, reading it ends soon, with an error of the library's own family."""

import hashlib
import json
import os
import random
import shutil
import time
from contextlib import suppress

import pytest
from torch import nn
from transcription.small import ensemble, release

import privkd
from accountants import Ledger
from accountants.ledger.chain import LISTS, canonical_digest, header_of, link
from privkd.certificates.release_folder import digest_of, read_release
from privkd.errors import CheckpointError
from privkd.report import report_of

MUTATIONS = 300
SECONDS = 5.0  # one takes a hundredth of it; the rest is for busy machines
VALUES = (
    *(None, True, "", "x", [], {}, [[]], {"a": {"a": {}}}, -1, 0, 1, 2, 10**6, 10**15, 10**30, 1e-300, 1e300, -1e300, 0.5),
    *("\x1b[2J\u202e", "\ud800", "../../etc/passwd", "a\0b", "x" * 20_000, "inf", "NaN", [1] * 1000),
    json.loads("[" * 40 + "]" * 40),
)  # fmt: skip
TEXTS = (
    "",
    "{",
    "[]",
    "null",
    "{}",
    "[" * 100_000,
    '{"a":' * 1000,
    "\xff\xfe",
    '{"schema": "privkd.release/1"}',
    "1e999",
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """One release with public queries, and one with a generator."""
    there = tmp_path_factory.mktemp("releases")
    release(ensemble(), student=None).save(there / "public")
    made = privkd.transcribe(nn.Linear(4, 3), 2.0, scope="synthetic-label", queries=20, seed=0)
    made.save(there / "generated")
    return [there / "public", there / "generated"]


def places(value, path=()):
    """Every place in a JSON value."""
    yield path
    if isinstance(value, dict | list):
        for name, inside in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inside, (*path, name))


def exchanged(value, path, new):
    if not path:
        return new
    copy = list(value) if isinstance(value, list) else dict(value)
    copy[path[0]] = exchanged(value[path[0]], path[1:], new)
    return copy


def rechained(document):
    """A ledger whose chain is made to fit what it holds now, as somebody would who rewrites all of it."""
    order = sorted(((name, record) for name in LISTS for record in document[name]), key=lambda pair: pair[1]["index"])
    previous, lists = canonical_digest(header_of(document)), {name: [] for name in LISTS}
    for index, (name, record) in enumerate(order):
        content = {key: value for key, value in record.items() if key not in ("index", "previous", "hash")}
        lists[name].append(link(content, index=index, previous=previous))
        previous = str(lists[name][-1]["hash"])
    return header_of(document) | lists | {"head": previous}


def refit(folder):
    """Make the checksums, the ledger's last word on the release and the certificate's digest fit what lies there now."""
    read = {name: json.loads((folder / f"{name}.json").read_text()) for name in ("config", "ledger", "certificate")}
    digest = digest_of(read["config"], folder)
    last = [one for one in read["ledger"]["disclosed"] if str(one["text"]).startswith("release sha256:")][-1]
    last["text"] = digest
    ledger = rechained(read["ledger"])
    (folder / "ledger.json").write_text(json.dumps(ledger))
    (folder / "certificate.json").write_text(json.dumps(read["certificate"] | {"ledger_digest": ledger["head"]}))
    sums = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in read["config"]["sha256"]}
    (folder / "config.json").write_text(json.dumps(read["config"] | {"sha256": sums}))


def damage(folder, draw):
    """Something that happens to folders, or is done to them; gives it in words."""
    path = draw.choice(sorted(folder.iterdir()))
    kind = draw.choice(["bytes", "cut", "missing", "pipe", "folder", "link", "text", *["value"] * 8])
    if kind in ("value", "text") and path.suffix != ".json":
        kind = "bytes"
    if kind == "value":
        value = json.loads(path.read_text())
        place, new = draw.choice(list(places(value))), draw.choice(VALUES)
        path.write_text(json.dumps(exchanged(value, place, new)))
        if draw.random() < 0.7:
            with suppress(LookupError, TypeError, ValueError, AttributeError):  # it may be beyond that
                refit(folder)
        return f"{path.name} {place} = {str(new)[:40]!r}"
    raw = bytearray(path.read_bytes())
    path.unlink()
    if kind == "bytes":
        for _ in range(draw.randint(1, 8)):
            raw[draw.randrange(len(raw)) if draw.random() < 0.5 else draw.randrange(min(64, len(raw)))] = (
                draw.randrange(256)
            )
        path.write_bytes(raw)
    elif kind == "cut":
        path.write_bytes(raw[: draw.randrange(len(raw))])
    elif kind == "text":
        path.write_bytes(draw.choice(TEXTS).encode("latin-1"))
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(draw.choice(["/dev/zero", "/proc/self/environ", path.name, "absent"]))
    return f"{path.name}: {kind}"


def test_random_damage_raises_nothing_but_the_librarys_own_errors_and_soon(folders, tmp_path):
    draw, read, longest = random.Random(0), 0, 0
    for number in range(MUTATIONS):
        folder = tmp_path / "damaged"
        shutil.copytree(draw.choice(folders), folder)
        what, start = f"{number}: {damage(folder, draw)}", time.monotonic()
        for look in (lambda path: privkd.load(path).certificate.verify(), read_release):
            try:
                look(folder)
                read += 1
            except privkd.PrivkdError as error:
                longest = max(longest, len(str(error)))
            except BaseException as error:
                raise AssertionError(what) from error
        assert time.monotonic() - start < SECONDS, what
        shutil.rmtree(folder)
    assert longest < 10_000
    assert read < MUTATIONS  # of two looks each: most damage is found


def test_what_is_made_to_fit_is_read_again_and_what_is_not_is_refused(folders, tmp_path):
    """The twin: the same steps without damage, and with damage that nobody made to fit."""
    for folder in folders:
        copied = tmp_path / folder.name
        shutil.copytree(folder, copied)
        before = Ledger.read(copied / "ledger.json").digest
        refit(copied)
        assert privkd.load(copied).certificate.verify()
        assert Ledger.read(copied / "ledger.json").digest == before
        config = json.loads((copied / "config.json").read_text())
        (copied / "config.json").write_text(json.dumps(config | {"method": "perfect"}))
        for look in (privkd.load, read_release):
            with pytest.raises(CheckpointError, match="closed over another student"):
                look(copied)
        assert "closed over" in report_of(copied).problems[0]
        refit(copied)  # whoever rewrites the whole chain can do that; its head is another one then
        assert privkd.load(copied).method == "perfect"
        assert Ledger.read(copied / "ledger.json").digest != before
