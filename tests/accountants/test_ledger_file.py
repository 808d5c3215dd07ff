"""A ledger file shows every edit and names the entry; hostile files are refused; crashes harm no file."""

import copy
import json
import os
import subprocess
import sys
import textwrap

import pytest

from accountants import (
    AdjacencyError,
    Gaussian,
    GNMax,
    Ledger,
    LedgerError,
    PureDP,
    RandomizedResponse,
    UnsupportedEvent,
)
from accountants.ledger.chain import canonical_digest, header_of, link


def example():
    ledger = Ledger(adjacency="replace-one", epsilon=5.0, delta=1e-5, n=60_000, note="a note")
    ledger.charge(GNMax(40.0), where="votes/first", count=10)
    ledger.charge(RandomizedResponse(10, 0.1) + PureDP(0.01), where="labels")
    ledger.claim(2.0, 1e-5, "exact")
    ledger.charge(Gaussian(30.0), where="histogram")
    ledger.disclose("the class list is public")
    return ledger


DOCUMENT = example().to_dict()


def leaves(node, path=()):
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, (*path, key))
    elif isinstance(node, list):
        for key, value in enumerate(node):
            yield from leaves(value, (*path, key))
    else:
        yield path


def changed(value):
    if value is None:
        return 1
    if isinstance(value, str):
        return value[:-1] + ("0" if value[-1:] != "0" else "1")
    return value + 1


def write(path, document):
    path.write_text(json.dumps(document))
    return path


def rechained(document):
    """The document with a chain rebuilt by somebody who may rewrite everything."""
    document = copy.deepcopy(document)
    previous = canonical_digest(header_of(document))
    records = sorted(
        (r["index"], name, i) for name in ("events", "claims", "disclosed") for i, r in enumerate(document[name])
    )
    for index, name, place in records:
        document[name][place] = link(document[name][place], index=index, previous=previous)
        previous = document[name][place]["hash"]
    return {**document, "head": previous}


def test_reading_gives_back_what_was_saved(tmp_path):
    ledger = example()
    path = tmp_path / "out.json"
    ledger.save(path)
    again = Ledger.read(path)
    assert again.to_dict() == ledger.to_dict()
    assert again.digest == ledger.digest
    assert again.total == ledger.total
    assert again.epsilon() == ledger.epsilon()
    assert (again.budget, again.delta, again.n, again.note, again.unit) == (
        5.0,
        1e-5,
        60_000,
        "a note",
        "training-record",
    )
    assert again.claims == ledger.claims
    again.charge(Gaussian(100.0))
    again.save(path)
    assert len(Ledger.read(path).events) == 4


def test_an_empty_ledger_survives(tmp_path):
    ledger = Ledger(adjacency="add-remove")
    ledger.save(tmp_path / "empty.json")
    assert Ledger.read(tmp_path / "empty.json").to_dict() == ledger.to_dict()


@pytest.mark.parametrize("path", list(leaves(DOCUMENT)), ids=lambda path: ".".join(map(str, path)))
def test_every_edit_of_a_field_is_detected_and_named(path, tmp_path):
    document = copy.deepcopy(DOCUMENT)
    node = document
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = changed(node[path[-1]])
    with pytest.raises(LedgerError) as damage:
        Ledger.read(write(tmp_path / "x.json", document))
    text = str(damage.value)
    if path[0] in ("events", "claims", "disclosed"):
        assert f"{path[0]}[{path[1]}]" in text
        if path[0] == "events" and path[-1] != "where":
            assert repr(DOCUMENT["events"][path[1]]["where"]) in text
    else:
        assert path[0] in text or "header" in text


@pytest.mark.parametrize(
    ("name", "field"),
    [(name, field) for name in ("events", "claims", "disclosed") for field in DOCUMENT[name][0]],
)
def test_every_removed_field_is_detected(name, field, tmp_path):
    document = copy.deepcopy(DOCUMENT)
    del document[name][0][field]
    with pytest.raises(LedgerError, match=rf"{name}\[0\]"):
        Ledger.read(write(tmp_path / "x.json", document))
    if field in ("index", "previous", "hash"):
        return
    with pytest.raises(LedgerError, match=f"entry .*'{name}'.*{field}"):  # also when the chain fits
        Ledger.read(write(tmp_path / "x.json", rechained(document)))


def without_first(document):
    del document["events"][0]


def without_middle(document):
    del document["claims"][0]


def without_last(document):
    del document["disclosed"][0]


def doubled(document):
    document["events"].append(dict(document["events"][2]))


def swapped(document):
    document["events"][0], document["events"][1] = document["events"][1], document["events"][0]


def renumbered(document):
    document["events"][0]["index"], document["events"][1]["index"] = 1, 0


def moved_to_another_list(document):
    document["disclosed"].append(document["claims"].pop())


def extra_field_added(document):
    document["events"][1]["public"] = True


def header_field_added(document):
    document["sampler"] = "poisson"


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        (without_first, "entry 0 is missing"),
        (without_middle, "entry 2 is missing"),
        (without_last, "head does not match entry 3 .*cut off"),
        (doubled, r"events\[3\].*events\[2\].*same index"),
        (swapped, r"events\[1\].*out of order"),
        (renumbered, r"events\[1\].*out of order"),
        (moved_to_another_list, r"disclosed\[1\]"),
        (extra_field_added, r"events\[1\], where='labels'\) was edited"),
        (header_field_added, "header"),
    ],
)
def test_entries_that_were_moved_are_named(edit, named, tmp_path):
    document = copy.deepcopy(DOCUMENT)
    edit(document)
    with pytest.raises(LedgerError, match=named):
        Ledger.read(write(tmp_path / "x.json", document))


def test_the_untouched_document_is_accepted(tmp_path):
    assert Ledger.read(write(tmp_path / "x.json", DOCUMENT)).digest == DOCUMENT["head"]
    assert Ledger.read(write(tmp_path / "x.json", rechained(DOCUMENT))).events  # what a chain cannot show


def test_unknown_fields_are_kept_and_covered(tmp_path):
    document = copy.deepcopy(DOCUMENT)
    document["sampler"] = {"kind": "poisson", "q": 0.01}
    document["events"][1]["public"] = False
    path = write(tmp_path / "x.json", rechained(document))
    ledger = Ledger.read(path)
    ledger.save(path)
    saved = json.loads(path.read_text())
    assert saved["sampler"] == {"kind": "poisson", "q": 0.01}
    assert saved["events"][1]["public"] is False
    saved["events"][1]["public"] = True
    with pytest.raises(LedgerError, match=r"events\[1\]"):
        Ledger.read(write(path, saved))
    saved["events"][1]["public"] = False
    saved["sampler"]["q"] = 0.02
    with pytest.raises(LedgerError, match="header"):
        Ledger.read(write(path, saved))


def test_unknown_events_are_refused_by_name_even_in_a_sound_chain(tmp_path):
    document = copy.deepcopy(DOCUMENT)
    document["events"][2]["event"] = {"type": "repeat", "count": 2, "event": {"type": "staircase", "b": 1.0}}
    with pytest.raises(UnsupportedEvent, match=r"entry 3 .*histogram.*staircase"):
        Ledger.read(write(tmp_path / "x.json", rechained(document)))


def test_events_of_another_adjacency_are_refused_even_in_a_sound_chain(tmp_path):
    with pytest.raises(AdjacencyError, match=r"entry 1 .*krr"):
        Ledger.read(write(tmp_path / "x.json", rechained({**DOCUMENT, "adjacency": "add-remove"})))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("events", 0, "event"), {"type": "gaussian", "sigma": -1.0}),
        (("events", 0, "event"), {"type": "gaussian", "sigma": "nan"}),
        (("events", 0, "event"), [1, 2]),
        (("events", 0, "where"), 5),
        (("claims", 0, "epsilon"), "nan"),
        (("claims", 0, "epsilon"), -1.0),
        (("claims", 0, "delta"), 1.5),
        (("claims", 0, "accountant"), None),
        (("disclosed", 0, "text"), {}),
        (("disclosed", 0, "text"), "x" * 20_000),
        (("events", 0, "time"), 0),
    ],
)
def test_bad_values_in_a_sound_chain_are_refused_by_entry(place, value, tmp_path):
    document = copy.deepcopy(DOCUMENT)
    document[place[0]][place[1]][place[2]] = value
    index = document[place[0]][place[1]]["index"]
    with pytest.raises(LedgerError, match=f"entry {index} "):
        Ledger.read(write(tmp_path / "x.json", rechained(document)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epsilon", -1.0),
        ("epsilon", "inf"),
        ("delta", 2.0),
        ("n", 0),
        ("unit", None),
        ("adjacency", []),
        ("note", 3),
    ],
)
def test_bad_headers_in_a_sound_chain_are_refused(field, value, tmp_path):
    with pytest.raises(LedgerError, match="header"):
        Ledger.read(write(tmp_path / "x.json", rechained({**DOCUMENT, field: value})))


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "null", "3", '"x"', "{", "{}", '{"schema": "privkd.ledger/1"}', '{"schema": NaN}',
        '{"a": Infinity}',
        '{"a": -Infinity}', '{"a": 1e999}', '{"a": 1, "a": 2}', '{"a": {"b": 1, "b": 1}}', "[" * 100_000,
        '{"a": ' + "9" * 10_000 + "}", "\ufeff{}",
    ],
)  # fmt: skip
def test_files_that_are_no_ledger_are_refused(text, tmp_path):
    path = tmp_path / "x.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(LedgerError):
        Ledger.read(path)


@pytest.mark.parametrize(
    ("start", "named"),
    [
        ('{"schema": "privkd.ledger/1", ', "'schema' occurs twice"),
        ('{"extra": {"q": 1, "q": 1}, ', "'q' occurs twice"),
        ('{"extra": NaN, ', "NaN"),
        ('{"extra": [1e999], ', "too large"),
    ],
)
def test_json_that_readers_disagree_about_is_refused_in_a_sound_ledger(start, named, tmp_path):
    path = tmp_path / "x.json"
    path.write_text(start + json.dumps(DOCUMENT)[1:])
    with pytest.raises(LedgerError, match=named):
        Ledger.read(path)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "x.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(LedgerError):
        Ledger.read(tmp_path / "x.json")


def test_oversized_files_are_refused_before_parsing(tmp_path, monkeypatch):
    monkeypatch.setattr("accountants.ledger.storage.MAX_BYTES", 100)
    with pytest.raises(LedgerError, match="larger"):
        Ledger.read(write(tmp_path / "x.json", DOCUMENT))
    with pytest.raises(LedgerError, match="count="):
        example().save(tmp_path / "y.json")
    assert os.listdir(tmp_path) == ["x.json"]


@pytest.mark.parametrize("schema", ["privkd.ledger/2", None, 1])
def test_other_schemas_are_refused(schema, tmp_path):
    with pytest.raises(LedgerError, match="schema"):
        Ledger.read(write(tmp_path / "x.json", rechained({**DOCUMENT, "schema": schema})))


def test_missing_files_stay_os_errors(tmp_path):
    with pytest.raises(FileNotFoundError):
        Ledger.read(tmp_path / "absent.json")


@pytest.mark.parametrize("step", ["os.fsync", "os.replace"])
def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(step, tmp_path, monkeypatch):
    path = tmp_path / "ledger.json"
    ledger = example()
    ledger.save(path)
    before = path.read_bytes()
    ledger.disclose("more")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(step, fail)
    with pytest.raises(OSError, match="disk full"):
        ledger.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["ledger.json"]


def test_a_process_killed_while_writing_keeps_the_old_file(tmp_path):
    path = tmp_path / "ledger.json"
    example().save(path)
    before = path.read_bytes()
    program = f"""
        import os
        from accountants import Gaussian, Ledger
        ledger = Ledger.read({str(path)!r})
        ledger.disclose("more")
        os.fsync = lambda handle: os.kill(os.getpid(), 9)  # the new content is written, but not yet in place
        ledger.save({str(path)!r})
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False, timeout=60)
    assert done.returncode == -9
    assert path.read_bytes() == before
    Ledger.read(path)
