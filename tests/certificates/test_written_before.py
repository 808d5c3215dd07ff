"""Files of earlier versions, letter by letter: they are read, verify, and are what is still written today."""

import json
from pathlib import Path

import accountants.ledger.ledger
from accountants import Ledger, RandomizedResponse, audit
from privkd.certificates.certificate import Certificate

FOLDER = Path(__file__).parent / "written_before"


def read(name):
    return json.loads((FOLDER / f"{name}.json").read_text())


def test_a_certificate_that_was_written_before_verifies_and_binds_as_it_did():
    ledger = Ledger.read(FOLDER / "ledger.json")
    certificate = Certificate.from_dict(read("certificate"), ledger)
    assert certificate.verify()
    assert certificate.assuming("x").verify()
    assert json.loads(json.dumps(certificate.to_dict())) == read("certificate")
    assert [flag.split(":")[0] for flag in audit(ledger).flags] == ["no claim", "seeded noise disclosed"]


def test_the_same_steps_write_the_same_bytes(monkeypatch):
    monkeypatch.setattr(accountants.ledger.ledger, "now", lambda: "2026-01-02T03:04:05Z")
    ledger = Ledger(adjacency="replace-one", unit="teacher", delta=1e-5, n=1000)
    ledger.disclose("note: about 3 of 40 teachers failed (noisy; standard deviation 2.1)")
    ledger.charge(RandomizedResponse(k=10, eps0=0.1), count=10, where="answers")
    conditions = ("queries are public", "line\nbreak")
    issued = Certificate.from_ledger(
        ledger, scope="teacher", delta=1e-5, classes=10, conditions=conditions, secure_rng=False
    )
    assert issued.weakened("training-record").sealed().assuming("the labels are public").sealed().seal
    assert json.dumps(ledger.to_dict(), indent=1) + "\n" == (FOLDER / "ledger.json").read_text()
