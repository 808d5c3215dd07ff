"""`privkd plot`: pictures whose numbers are those of the library."""

import json

import pytest

from accountants import Gaussian, Ledger, epsilon
from accountants.guarantees.profile import curve
from accountants.guarantees.tradeoff import tradeoff

HEADS = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}


@pytest.mark.parametrize("suffix", HEADS)
@pytest.mark.parametrize("kind", ["curve", "tradeoff"])
def test_expressions_are_drawn_in_every_format(privkd, tmp_path, kind, suffix):
    out = tmp_path / f"picture{suffix}"
    outcome = privkd("plot", "gaussian(2) * 3", "--kind", kind, "--delta", "1e-5", "--out", out)
    assert (outcome.code, outcome.err) == (0, "")
    assert out.read_bytes().startswith(HEADS[suffix])
    assert "picture" in outcome.out


def test_the_numbers_of_a_picture_are_those_of_the_library(privkd, tmp_path):
    def drawn(kind):
        outcome = privkd("plot", "gaussian(2) * 3", "--kind", kind, "--out", tmp_path / "x.svg", "--json")
        return json.loads(outcome.out)

    event = Gaussian(2.0) * 3
    shown = drawn("curve")
    truth = curve(event, shown["epsilons"])
    assert [bound["upper"] for bound in shown["deltas"]] == [bound.upper for bound in truth]
    shown = drawn("tradeoff")
    place = shown["fprs"].index(0.01)
    assert shown["tprs"][place]["upper"] == pytest.approx(tradeoff(event, [0.01]).tprs[0].upper, rel=2e-3)
    assert shown["adjacency"] == "add-remove"


def test_a_budget_is_drawn_charge_by_charge(privkd, tmp_path):
    made = Ledger(adjacency="replace-one", epsilon=3.0, delta=1e-6)
    for _ in range(3):
        made.charge(Gaussian(9.0))
    made.save(tmp_path / "ledger.json")
    outcome = privkd("plot", tmp_path, "--kind", "budget", "--out", tmp_path / "b.svg", "--json")
    values = json.loads(outcome.out)
    truth = [epsilon(Gaussian(9.0) * count, 1e-6, adjacency="replace-one").upper for count in range(4)]
    assert [point["epsilon"]["upper"] for point in values["spent"]] == truth
    assert (values["budget"], values["delta"], values["adjacency"]) == (3.0, 1e-6, "replace-one")
    assert "budget 3" in (tmp_path / "b.svg").read_text()
    assert privkd("plot", tmp_path / "ledger.json", "--kind", "tradeoff", "--out", tmp_path / "t.png").code == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["gaussian(1)", "--kind", "budget", "--out", "x.png"], "needs a ledger"),
        (["gaussian(1)", "--out", "x.bmp"], ".png, .svg, .pdf"),
        (["gausian(1)", "--out", "x.png"], "did you mean"),
        (["krr(k=3, eps0=1)", "--out", "x.png"], "replace-one"),
        (["gaussian(1)", "--delta", "2", "--out", "x.png"], "delta"),
        (["absent.json", "--out", "x.png"], "absent.json"),
        (["gaussian(1)", "--out", "absent/x.png"], "absent"),
    ],
)
def test_what_cannot_be_drawn_is_said_and_nothing_is_written(privkd, tmp_path, monkeypatch, arguments, named):
    monkeypatch.chdir(tmp_path)
    outcome = privkd("plot", *arguments)
    assert outcome.code == 3
    assert named in outcome.err
    assert "Traceback" not in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_the_adjacency_of_a_ledger_is_its_own(privkd, ledger, tmp_path):
    refused = privkd("plot", ledger(), "--adjacency", "replace-one", "--out", tmp_path / "x.png")
    assert refused.code == 3
    assert "add-remove" in refused.err


def test_unknown_kinds_are_a_mistyped_command_line(privkd):
    assert privkd("plot", "gaussian(1)", "--kind", "roc", "--out", "x.png").code == 2
