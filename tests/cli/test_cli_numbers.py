"""`account`, `calibrate`, `audit` and `plot`: the commands that load no torch."""

import json
import os
import subprocess
import sys

import pytest

from accountants import Gaussian, Ledger, calibrate, delta, epsilon, parse
from accountants.events import RDP

COMMANDS = ("demo", "transcribe", "account", "calibrate", "audit", "plot", "report")
HEAVY = ("torch", "sklearn", "matplotlib", "scipy.stats", "accelerate", "jinja2", "opacus")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_that_names_its_python_call(privkd, command):
    outcome = privkd(command, "--help")
    assert outcome.code == 0
    assert "In Python:" in outcome.out


def test_top_level_help_lists_commands_and_exit_codes_and_version_prints(privkd):
    outcome = privkd("--help")
    assert all(command in outcome.out for command in COMMANDS)
    assert "130 interrupted" in " ".join(outcome.out.split())
    from privkd import __version__

    assert privkd("--version").out.strip() == __version__


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["transcribe", "--help"],
        ["account", "gaussian(1.1).poisson(0.01) * 1000", "--delta", "1e-5"],
        ["calibrate", "gaussian(SIGMA)", "--epsilon", "1", "--delta", "1e-5", "--json"],
        ["audit", "LEDGER", "--with", "none"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_light_commands_load_nothing_heavy(ledger, arguments):
    arguments = [str(ledger()) if argument == "LEDGER" else argument for argument in arguments]
    program = (
        "import sys\nfrom privkd.cli import main\nsys.argv[0] = 'privkd'\n"
        "try:\n    main()\nfinally:\n"
        f"    sys.stderr.write('LOADED:' + ','.join(m for m in {HEAVY!r} if m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.split("LOADED:")[1] == ""


def test_account_prints_what_the_library_says(privkd):
    text = "gaussian(2.0) * 3"
    outcome = privkd("account", text, "--delta", "1e-5", "--json")
    truth = epsilon(parse(text), 1e-5)
    values = json.loads(outcome.out)
    assert (values["lower"], values["upper"], values["method"]) == (truth.lower, truth.upper, truth.method)
    assert outcome.err == ""
    assert str(truth) in privkd("account", text, "--delta", "1e-5").out


def test_account_answers_the_other_question_too(privkd):
    text = "gaussian(2.0) * 3"
    outcome = privkd("account", text, "--epsilon", "1", "--json")
    truth = delta(parse(text), 1.0)
    values = json.loads(outcome.out)
    assert (values["lower"], values["upper"], values["epsilon"]) == (truth.lower, truth.upper, 1.0)
    assert "delta" not in values
    assert str(truth) in privkd("account", text, "--epsilon", "1").out


@pytest.mark.parametrize("asked", [[], ["--delta", "1e-5", "--epsilon", "1"]])
def test_account_answers_exactly_one_question(privkd, asked):
    outcome = privkd("account", "gaussian(1)", *asked)
    assert (outcome.code, outcome.out) == (2, "")
    assert "--delta" in outcome.err


def test_account_passes_method_and_width_on(privkd):
    text = ["account", "gaussian(2.0) * 3", "--delta", "1e-5", "--json"]
    assert json.loads(privkd(*text, "--method", "renyi").out)["method"] == "renyi"
    assert json.loads(privkd(*text, "--width", "1e-6").out)["method"] == "gaussian"
    for wrong in (["--method", "guess"], ["--method", "response"], ["--width", "-1"]):
        assert privkd(*text, *wrong).code == 3


def test_account_takes_the_adjacency_and_refuses_without_it(privkd):
    refused = privkd("account", "krr(k=10, eps0=1)", "--delta", "1e-5")
    assert refused.code == 3
    assert "replace-one" in refused.err
    assert refused.out == ""
    assert privkd("account", "krr(k=10, eps0=1)", "--delta", "1e-5", "--adjacency", "replace-one").code == 0


@pytest.mark.parametrize("json_flag", [[], ["--json"]])
@pytest.mark.parametrize(
    ("expression", "delta"),
    [
        ("__import__('os').system('true')", "1e-5"),
        ("gausian(1)", "1e-5"),
        ("gaussian(-1)", "1e-5"),
        ("gaussian(nan)", "1e-5"),
        ("", "1e-5"),
        ("(" * 5000, "1e-5"),
        ("gaussian(1)", "nan"),
        ("gaussian(1)", "1"),
        ("gaussian(1)", "-0.5"),
    ],
)
def test_hostile_numbers_are_refused_in_words(privkd, expression, delta, json_flag):
    outcome = privkd("account", expression, f"--delta={delta}", *json_flag)
    assert outcome.code == 3
    assert "Error: " in outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.out == ""


def test_markup_in_arguments_is_shown_and_not_obeyed(privkd, tmp_path):
    made = Ledger(adjacency="add-remove")
    made.charge(Gaussian(1.0))
    path = tmp_path / "[red]x.json"
    made.save(path)
    assert "[red]x.json" in privkd("audit", path).out.replace("\n", "")


def test_calibrate_agrees_with_the_library_and_stays_within_budget(privkd):
    outcome = privkd("calibrate", "gaussian(SIGMA) * 100", "--epsilon", "1", "--delta", "1e-5", "--json")
    values = json.loads(outcome.out)
    truth = calibrate(lambda sigma: Gaussian(sigma) * 100, 1.0, 1e-5)
    assert values["value"] == truth.value
    assert values["parameter"] == "SIGMA"
    assert values["upper"] <= 1.0
    assert epsilon(parse(values["expression"]), 1e-5).upper <= 1.0
    assert repr(truth.value) in privkd("calibrate", "gaussian(SIGMA) * 100", "--epsilon", "1", "--delta", "1e-5").out


@pytest.mark.parametrize(
    ("expression", "named"),
    [
        ("gaussian(1)", "free names"),
        ("gaussian(A) * B", "free names"),
        ("gausian(SIGMA)", "did you mean"),
        ("krr(K, 1)", "K stands where a whole number is needed"),
        ("gaussian(1).fixed_size(M, 100)", "M stands where a whole number is needed"),
        ("krr(2.5, EPS)", "2.5"),
    ],
)
def test_calibrate_says_what_is_wrong_with_an_expression(privkd, expression, named):
    outcome = privkd("calibrate", expression, "--epsilon", "1", "--delta", "1e-5")
    assert outcome.code == 3
    assert named in outcome.err


def test_both_packages_of_the_command_line_can_be_run():
    for name in ("privkd", "privkd.cli"):
        run = subprocess.run([sys.executable, "-m", name, "--version"], check=True, timeout=60, capture_output=True)
        assert run.stdout.strip()


def test_audit_exit_codes(privkd, ledger):
    truth = epsilon(Gaussian(10.0), 1e-5).upper
    known_from_above = RDP((2.0, 4.0, 8.0), (0.1, 0.2, 0.4)) * 4
    between = epsilon(known_from_above, 1e-5)
    assert privkd("audit", ledger(1.01 * truth)).code == 0
    assert privkd("audit", ledger(0.5 * truth)).code == 1
    assert privkd("audit", ledger((between.lower + between.upper) / 2, known_from_above)).code == 2
    path = ledger()
    path.write_text("{")
    assert privkd("audit", path).code == 3


def test_audit_asks_one_outsider_unless_it_is_told_otherwise(privkd, ledger):
    path = ledger()
    asked = privkd("audit", path, "--with", "prv-accountant", "--with", "dp-accounting", "--json")
    opinions = json.loads(asked.out)["verdicts"][0]["opinions"]
    assert [opinion["source"].split()[0] for opinion in opinions] == ["prv-accountant", "dp-accounting"]
    assert "prv-accountant" in privkd("audit", path).out
    [default] = json.loads(privkd("audit", path, "--json").out)["verdicts"][0]["opinions"]
    assert (default["source"].split()[0], default["finding"]) == ("prv-accountant", "agrees")
    assert json.loads(privkd("audit", path, "--with", "none", "--json").out)["verdicts"][0]["opinions"] == []
    assert privkd("audit", path, "--with", "opacus").code == 3


def test_audit_of_a_loader_that_did_something_else_exits_with_one(privkd, tmp_path):
    made = Ledger(adjacency="add-remove", n=1000, sampler={"kind": "shuffled"})
    made.charge(Gaussian(10.0).poisson(0.1))
    made.claim(5.0, 1e-5, "test")
    made.save(tmp_path / "ledger.json")
    outcome = privkd("audit", tmp_path / "ledger.json", "--json")
    assert outcome.code == 1
    assert "shuffled" in json.loads(outcome.out)["errors"][0]
    assert "error" in privkd("audit", tmp_path / "ledger.json").out


def test_audit_of_a_ledger_that_discloses_a_leak_exits_with_one(privkd, tmp_path):
    made = Ledger(adjacency="add-remove", n=1000)
    made.charge(Gaussian(10.0))
    made.claim(5.0, 1e-5, "test")
    made.save(tmp_path / "ledger.json")
    assert privkd("audit", tmp_path / "ledger.json").code == 0
    made.disclose("leak: losses were logged")
    made.save(tmp_path / "ledger.json")
    outcome = privkd("audit", tmp_path / "ledger.json", "--json")
    assert outcome.code == 1
    values = json.loads(outcome.out)
    assert (values["exit_code"], values["verdicts"][0]["status"]) == (1, "ERROR")
    assert "losses were logged" in values["errors"][0]
    said = privkd("audit", tmp_path / "ledger.json").out
    assert "error" in said
    assert "losses were logged" in " ".join(said.split())


def test_audit_speaks_json_and_takes_folders(privkd, ledger):
    path = ledger()
    outcome = privkd("audit", path.parent, "--json")
    values = json.loads(outcome.out)
    assert (outcome.code, values["exit_code"], outcome.err) == (0, 0, "")
    assert values["verdicts"][0]["status"].startswith("PASS")
    path.rename(path.parent / "other.json")
    assert privkd("audit", path.parent).code == 3


@pytest.mark.parametrize("field", ["sigma", "where", "time", "hash"])
def test_an_edited_ledger_is_refused_and_the_entry_named(privkd, ledger, field):
    path = ledger()
    values = json.loads(path.read_text())
    entry = values["events"][0]
    if field == "sigma":
        entry["event"]["sigma"] = 1000.0
    else:
        entry[field] = ("0" if str(entry[field])[0] != "0" else "1") + str(entry[field])[1:]
    path.write_text(json.dumps(values))
    outcome = privkd("audit", path, "--json")
    assert outcome.code == 3
    assert "entry 0" in outcome.err
    assert outcome.out == ""


def test_a_missing_ledger_is_a_message(privkd, tmp_path):
    outcome = privkd("audit", tmp_path / "absent.json")
    assert outcome.code == 3
    assert "absent.json" in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("arguments", [["account"], ["unknown"], ["account", "gaussian(1)", "--delta", "x"]])
def test_a_mistyped_command_line_exits_with_two(privkd, arguments):
    assert privkd(*arguments).code == 2
