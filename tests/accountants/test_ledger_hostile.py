"""Whatever lies where a ledger is read: an error of one family within a second, bounded in memory, and no text that hides."""

import json
import os
import random
import time

import pytest

from accountants import (
    ApproxDP,
    BudgetExceeded,
    Gaussian,
    GNMax,
    Ledger,
    LedgerError,
    PrivkdError,
    PureDP,
    RandomizedResponse,
    audit,
)
from accountants.auditing import audit as audit_module
from accountants.ledger.chain import canonical_digest, header_of, link

HIDDEN = "\x1b[31m\u202e\u200b\u2028\x9b"


def example(**more):
    ledger = Ledger(
        **{"adjacency": "replace-one", "epsilon": 5.0, "delta": 1e-5, "n": 60_000, "note": "a note", **more},
        sampler={"kind": "poisson", "q": 0.01, "steps": 100},
    )
    ledger.charge(GNMax(40.0), where="votes", count=10)
    ledger.charge(RandomizedResponse(10, 0.1) + PureDP(0.01), where="labels")
    ledger.claim(2.0, 1e-5, "exact")
    ledger.charge(Gaussian(30.0).poisson(0.01) * 100, where="training")
    ledger.disclose("the class list is public")
    return ledger


DOCUMENT = example(shared=True).to_dict()


def rechained(document):
    """The document with a chain rebuilt by somebody who may rewrite everything."""
    document, previous = json.loads(json.dumps(document)), None
    previous = canonical_digest(header_of(document))
    places = [
        (record["index"], name, place)
        for name in ("events", "claims", "disclosed")
        for place, record in enumerate(document[name])
    ]
    for index, name, place in sorted(places):
        document[name][place] = link(document[name][place], index=index, previous=previous)
        previous = document[name][place]["hash"]
    return {**document, "head": previous}


# ---- mutations

STRANGE = [
    None, True, False, 0, -1, 1e308, 1e-308, 10**15, 10**400, -(10**400), "", "inf", "nan", "x" * 20_000, HIDDEN, [], {},
    [[]], {"type": "gaussian", "sigma": 0}, {"type": "repeat", "count": 10**15, "event": {"type": "pure_dp", "epsilon": 1e308}},
    [0] * 1000, "\ud800", {"a": {"b": {"c": [1, 2, 3]}}},
]  # fmt: skip


def places(node, path=()):
    yield path
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def mutated_value(document, draw):
    document = json.loads(json.dumps(document))
    path = draw.choice([one for one in places(document) if one])
    node = document
    for key in path[:-1]:
        node = node[key]
    what = draw.randrange(4)
    if what == 0:
        del node[path[-1]]
    elif what == 1 and isinstance(node, list):
        node.append(node[path[-1]])
    else:
        node[path[-1]] = draw.choice(STRANGE)
    return document


def mutated_bytes(content, draw):
    content, place = bytearray(content), draw.randrange(len(content))
    match draw.randrange(4):
        case 0:
            content[place] = draw.randrange(256)
        case 1:
            del content[place:]
        case 2:
            content[place:place] = draw.choice(
                [b"[" * 5000, b'"', b"{", b"\\u0000", b"9" * 5000, b"\x00", b",", b"1e999"]
            )
        case _:
            end = place + draw.randrange(200)
            del content[place:end]
    return bytes(content)


def used(path):
    """What anybody does with a ledger from elsewhere."""
    ledger = Ledger.read(path)
    str(audit(ledger))
    repr(ledger)
    ledger.charge(Gaussian(1000.0), where="more")
    Ledger.open(path).refresh()


@pytest.mark.parametrize("part", range(6))
def test_mutated_ledgers_raise_errors_of_one_family_within_a_second(part, tmp_path):
    path, draw = tmp_path / "ledger.json", random.Random(part)
    for number in range(50):
        document = mutated_value(DOCUMENT, draw)
        if part % 3 == 0:
            path.write_bytes(mutated_bytes(json.dumps(DOCUMENT).encode(), draw))
        elif part % 3 == 1:
            path.write_text(json.dumps(document))
        else:
            try:
                path.write_text(json.dumps(rechained(document)))
            except (KeyError, TypeError, AttributeError, ValueError):
                continue
        started = time.process_time()
        said = ""
        try:
            used(path)
        except (PrivkdError, OSError) as error:
            said = str(error)
        assert time.process_time() - started < 1.0, number
        assert len(said) < 5000, number  # type checkers say much, and escapes take room


# ---- no files


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes")
def test_a_pipe_and_a_folder_are_no_ledger_and_do_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        for read in (Ledger.read, Ledger.open):
            with pytest.raises(LedgerError, match="no regular file"):
                read(tmp_path / name)


@pytest.mark.parametrize("depth", [300, 900, 50_000])
@pytest.mark.parametrize("ends", [("[", "]"), ('{"a":', "}")], ids=["lists", "objects"])
def test_a_file_that_is_nested_deeply_is_refused(depth, ends, tmp_path):
    path = tmp_path / "ledger.json"
    deep = ends[0] * depth + "1" + ends[1] * depth
    path.write_text('{"extra": ' + deep + ", " + json.dumps(DOCUMENT)[1:])
    with pytest.raises(LedgerError):
        Ledger.read(path)


def test_events_are_read_as_deep_as_they_can_be_made(tmp_path):
    event = Gaussian(30.0)
    for _ in range(49):
        event = (event + Gaussian(30.0)).poisson(1.0)
    ledger = Ledger(adjacency="add-remove")
    ledger.charge(event)
    ledger.save(tmp_path / "ledger.json")
    assert Ledger.read(tmp_path / "ledger.json").events == (event,)


def test_a_file_of_very_many_values_is_refused_before_it_is_parsed(tmp_path, monkeypatch):
    monkeypatch.setattr("accountants.ledger.storage._MAX_VALUES", 1000)
    path = tmp_path / "ledger.json"
    path.write_text('{"extra": [' + ",".join("0" * 2000) + "], " + json.dumps(DOCUMENT)[1:])
    with pytest.raises(LedgerError, match="more than 1000 values"):
        Ledger.read(path)
    path.write_text(json.dumps(DOCUMENT))
    Ledger.read(path)


def test_an_index_of_thousands_of_digits_is_not_repeated(tmp_path):
    document = json.loads(json.dumps(DOCUMENT))
    document["events"][0]["index"] = 10**4000
    path = tmp_path / "ledger.json"
    path.write_text(json.dumps(document))
    with pytest.raises(LedgerError, match="whole number from 0") as refusal:
        Ledger.read(path)
    assert len(str(refusal.value)) < 300


# ---- many claims


def counted(monkeypatch):
    """The number of compositions that an audit asks for, as a list that grows."""
    asked, whole = [], audit_module.epsilon_of_parts

    def ask(*args, **named):
        asked.append(args)
        return whole(*args, **named)

    monkeypatch.setattr(audit_module, "epsilon_of_parts", ask)
    return asked


def test_thousands_of_claims_at_one_delta_share_their_compositions(monkeypatch):
    ledger = Ledger(adjacency="replace-one", delta=1e-5, n=1000)
    ledger.charge(GNMax(40.0), count=100)
    for number in range(8000):
        ledger.claim(1.0 + number / 4000, 1e-5, "x")
    asked = counted(monkeypatch)
    report = audit(ledger)
    assert len(asked) <= 10  # each accountant once
    assert {one.status for one in report.verdicts} == {"FAIL", "PASS", "PASS-LOOSE"}
    assert len(report.verdicts) == 8000
    single = Ledger(adjacency="replace-one", delta=1e-5, n=1000)
    single.charge(GNMax(40.0), count=100)
    for claim in ledger.claims[::2000]:
        single.claim(claim.epsilon, claim.delta, claim.accountant)
    for shared, alone in zip(report.verdicts[::2000], audit(single).verdicts, strict=True):
        assert (shared.status, shared.bound, shared.reason) == (alone.status, alone.bound, alone.reason)


def test_claims_at_thousands_of_deltas_are_not_all_judged_and_the_audit_does_not_pass(monkeypatch):
    ledger = Ledger(adjacency="replace-one", n=1000)
    ledger.charge(GNMax(40.0), count=100)
    for number in range(3000):
        ledger.claim(9.0, 1e-5 * (1 + number) / 3000, "x")
    asked = counted(monkeypatch)
    report = audit(ledger)
    assert len(asked) <= 10 * sum(one.status != "UNSUPPORTED" for one in report.verdicts) <= 10 * 64
    assert report.verdicts[0].status.startswith("PASS")
    assert report.verdicts[-1].status == "UNSUPPORTED"
    assert "not judged" in report.verdicts[-1].reason
    assert report.exit_code == 3


def test_thousands_of_disclosures_beside_thousands_of_claims_give_few_flags():
    ledger = Ledger(adjacency="replace-one", epsilon=9.0, delta=1e-5, n=1000)
    ledger.charge(GNMax(40.0))
    for number in range(1000):
        ledger.claim(1.0, 1e-5, "x")
        ledger.disclose(f"adaptive choices, number {number}")
    assert len([flag for flag in audit(ledger).flags if "adaptive choices" in flag]) == 1


# ---- texts


def is_clean(text):
    return all(line.isprintable() for line in text.split("\n"))


def test_no_message_and_no_report_shows_characters_that_hide(tmp_path):
    ledger = Ledger(adjacency="replace-one", epsilon=5.0, delta=1e-5, unit=f"label{HIDDEN}", note=HIDDEN)
    ledger.charge(GNMax(40.0), where=f"opacus{HIDDEN}", count=10)
    ledger.claim(2.0, 1e-5, f"opacus data-dependent{HIDDEN}")
    for word in ("leak:", "seed", "tuning", "adaptive", "data-dependent"):
        ledger.disclose(f"{word} {HIDDEN}")
    report = audit(ledger)
    assert is_clean(str(report))
    assert is_clean(" ".join([*report.errors, *report.flags, *(one.reason for one in report.verdicts)]))
    assert is_clean(repr(ledger))
    path = tmp_path / "ledger.json"
    ledger.save(path)
    assert Ledger.read(path).disclosed == ledger.disclosed  # the file keeps what was written


@pytest.mark.parametrize(
    "edit",
    [
        lambda document: document["events"][0].update(where=[HIDDEN]),
        lambda document: document["events"][0].update(index=HIDDEN),
        lambda document: document["events"][0].update(event={"type": HIDDEN}),
        lambda document: document["events"][0]["event"].update({HIDDEN: 1}),
        lambda document: document.update(adjacency=HIDDEN),
        lambda document: document.update(filter=HIDDEN),
        lambda document: document.update(sampler={"kind": HIDDEN}),
        lambda document: document.update(sampler={"kind": "full", HIDDEN: 1}),
        lambda document: document.update(schema=HIDDEN),
        lambda document: document["claims"][0].update(epsilon=HIDDEN),
        lambda document: document["events"][0].update(time=[HIDDEN]),
    ],
)
@pytest.mark.parametrize("chained", [True, False])
def test_errors_of_edited_files_show_no_characters_that_hide(edit, chained, tmp_path):
    document = json.loads(json.dumps(DOCUMENT))
    edit(document)
    path = tmp_path / "ledger.json"
    try:
        path.write_text(json.dumps(rechained(document) if chained else document))
    except TypeError:
        pytest.skip("no chain can be built")
    with pytest.raises((LedgerError, PrivkdError)) as refusal:
        Ledger.read(path)
    assert is_clean(str(refusal.value))


def test_a_key_that_occurs_twice_is_named_without_what_it_hides(tmp_path):
    path = tmp_path / "ledger.json"
    path.write_text('{"a\\u202e": 1, "a\\u202e": 2}')
    with pytest.raises(LedgerError, match="occurs twice") as refusal:
        Ledger.read(path)
    assert is_clean(str(refusal.value))


def test_a_file_with_claims_that_cost_much_is_refused_as_a_whole_by_its_budget(tmp_path):
    """A hand-made file may hold more than its budget; nothing more fits."""
    ledger = Ledger(adjacency="replace-one", delta=1e-5)
    ledger.charge(ApproxDP(50.0, 1e-9), count=10)
    document = ledger.to_dict()
    document["epsilon"] = 1.0
    path = tmp_path / "ledger.json"
    path.write_text(json.dumps(rechained(document)))
    with pytest.raises(BudgetExceeded):
        Ledger.read(path).charge(Gaussian(1000.0))
