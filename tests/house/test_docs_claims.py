"""What documents say about commands, names, files, exit codes and numbers is true of the code beside them."""

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest
import typer

import privkd.cli.app
from accountants.auditing.audit import _EXIT_CODES

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]
NOTEBOOKS = [f"notebooks/{path.name}" for path in sorted((ROOT / "notebooks").glob("*.py"))]
UsageError = typer.BadParameter.__mro__[1]  # of the click that typer brings
COMMANDS = typer.main.get_command(privkd.cli.app.app)


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


def fenced(text):
    """Contents of code blocks."""
    return re.findall(r"^```[a-z]*\n(.*?)^```", text, flags=re.S | re.M)


def inline(text):
    """Code between single backticks, outside of blocks."""
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", outside(text))]


def outside(text):
    """The text without code blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)


def command_lines(text):
    """Command lines of privkd in code blocks, without what a shell would take away."""
    for block in fenced(text):
        for line in block.splitlines():
            found = re.match(r"(?:\S*/|\S*\\)?privkd (.*)", line.strip())
            if found and not line.strip().startswith("privkd/"):
                yield shlex.split(found[1], comments=True)


def parsed(words):
    """The command of a command line, after its options and arguments were parsed by the real program; nothing is run."""
    command = COMMANDS.commands[words[0]]
    command.make_context(words[0], list(words[1:])).close()
    return command


@pytest.mark.parametrize("name", PAGES)
def test_command_lines_are_taken_by_the_real_program(name):
    for words in command_lines(text_of(name)):
        try:
            parsed(words)
        except (KeyError, UsageError) as error:
            pytest.fail(f"{name}: privkd {shlex.join(words)}: {error!r}")


def test_a_wrong_option_and_a_wrong_command_would_be_found():
    with pytest.raises(UsageError):
        parsed(["report", "out/demo", "--accuracy", "1"])
    with pytest.raises(KeyError):
        parsed(["publish", "out/demo"])
    assert list(command_lines("```\nprivkd report out  # all\n.venv/bin/privkd demo\nprivkd/cli  what\n```")) == [
        ["report", "out"],
        ["demo"],
    ]


@pytest.mark.parametrize("name", PAGES)
def test_commands_and_options_in_running_text_exist(name):
    every = {option for command in COMMANDS.commands.values() for one in command.params for option in one.opts}
    for code in inline(text_of(name)):
        if re.match(r"privkd [a-z]", code):
            words = shlex.split(code)
            assert words[1] in COMMANDS.commands, f"{name}: {code}"
            known = {option for one in COMMANDS.commands[words[1]].params for option in one.opts}
            assert {word.split("=")[0] for word in words if word.startswith("--")} <= known, f"{name}: {code}"
        elif re.fullmatch(r"--[a-z-]+( .*)?", code):
            assert code.split()[0] in every | {"--help", "--version"}, f"{name}: {code}"


def test_options_in_the_table_of_a_command_are_options_of_that_command():
    seen = 0
    for title, section in re.findall(
        r"^## privkd (\w+)\n(.*?)(?=^## |\Z)", text_of("docs/command-line.md"), flags=re.S | re.M
    ):
        known = {option for one in COMMANDS.commands[title].params for option in one.opts}
        for row in re.findall(r"^\| (`--[^|]*)\|", section, flags=re.M):
            options = set(re.findall(r"--[a-z-]+", row))
            assert options <= known, f"{title}: {options - known}"
            seen += len(options)
    assert seen > 15


def exit_codes(text):
    """Code -> meaning, in a help text that lists exit codes."""
    listed = re.search(r"Exit codes: (.*?)(?:\n\n|\.\s|\Z)", " ".join(text.split()) + ". ", flags=re.S)
    return {int(code) for code in re.findall(r"(?:^|, )(\d+) ", listed[1])} if listed else set()


def test_exit_codes_in_the_document_are_those_in_the_help():
    page = text_of("docs/command-line.md")
    rows = {int(code): text for code, text in re.findall(r"^\| (\d+) \| (.*) \|$", page, flags=re.M)}
    assert set(rows) == exit_codes(COMMANDS.help)
    own = {name: exit_codes(command.help) for name, command in COMMANDS.commands.items() if exit_codes(command.help)}
    assert {"audit", "report"} <= set(own)
    for name, codes in own.items():
        assert codes <= set(rows), name
    for code in (1, 2):
        named = {name for name in own if f"`{name}`" in rows[code]}
        assert named == {name for name, codes in own.items() if code in codes}, f"exit code {code}"


def test_the_verdicts_of_an_audit_and_their_exit_codes_are_the_documented_ones():
    rows = re.findall(r"^\| `([A-Z-]+)(?:\([^)]*\))?` \| (\d) \|", text_of("docs/command-line.md"), flags=re.M)
    assert {verdict: int(code) for verdict, code in rows} == _EXIT_CODES


def resolved(name):
    """The object of a dotted name: the longest importable part, then attributes."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:cut]))
        except ImportError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part)
        return found
    raise ImportError(name)


DOTTED = re.compile(r"(?<![\w./-])(?:privkd|accountants|generators)(?:\.[A-Za-z_]\w*)+(?![\w/])")


def dotted_names(text):
    """Python names of the three packages, in code."""
    for code in [*inline(text), *fenced(text)]:
        for name in DOTTED.findall(code):
            if not name.endswith((".py", ".md", ".toml", ".json")) and "entry-points" not in code:
                yield name


@pytest.mark.parametrize(
    "name", [*PAGES, *(f"docs/api/{path.name}" for path in sorted((ROOT / "docs/api").glob("*.md")))]
)
def test_python_names_lead_to_something(name):
    text = text_of(name)
    for dotted in {*dotted_names(text), *re.findall(r"^::: (\S+)", text, flags=re.M)}:
        try:
            resolved(dotted)
        except (ImportError, AttributeError) as error:
            pytest.fail(f"{name}: {dotted}: {error!r}")


@pytest.mark.parametrize("command", sorted(COMMANDS.commands))
def test_python_names_in_the_help_of_a_command_lead_to_something(command):
    help_text = COMMANDS.commands[command].help
    assert "In Python:" in help_text
    for name in DOTTED.findall(help_text):
        resolved(name)


def test_a_name_that_is_gone_would_be_found():
    assert list(dotted_names("`privkd.load(x)` and privkd.nothing and `privkd.ledger/1` and `privkd/cli.py`")) == [
        "privkd.load"
    ]
    with pytest.raises(AttributeError):
        resolved("privkd.report.no_such_name")


@pytest.mark.parametrize("name", [*PAGES, *NOTEBOOKS])
def test_files_of_the_repository_that_are_named_exist(name):
    for path in re.findall(r"(?<![\w/])(?:benchmarks|docs|notebooks|tests|\.ci)/[\w./-]*\w", text_of(name)):
        assert (ROOT / path).exists(), f"{name}: {path}"


@pytest.mark.parametrize("name", [*PAGES, *NOTEBOOKS])
def test_options_of_benchmarks_are_those_of_the_scripts(name):
    for script, arguments in re.findall(r"python (benchmarks/\w+\.py)([^`\n]*)", text_of(name)):
        source = text_of(script)
        for option in re.findall(r"--[a-z-]+", arguments):
            assert option == "--help" or f'"{option}"' in source, f"{name}: {script} {option}"


def anchors(text):
    """Ids of the headings of a page, as the site makes them."""
    titles = re.findall(r"^#+ (.+)$", outside(text), flags=re.M)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower()) for title in titles}


@pytest.mark.parametrize("name", [*PAGES, "CHANGELOG.md"])
def test_links_between_pages_lead_to_a_heading(name):
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", re.sub(r"`[^`]*`", "", outside(text_of(name)))):
        if "://" in target or target.startswith("mailto:"):
            continue
        page = (ROOT / name).parent / target if target else ROOT / name
        assert page.exists(), f"{name} -> {target}"
        assert not anchor or anchor in anchors(page.read_text(encoding="utf-8")), f"{name} -> {target}#{anchor}"


SHARE = r"\d\.\d{3} ± \d\.\d{3}"


def test_measured_numbers_of_the_readme_are_those_of_the_measurements():
    measured = text_of("docs/measurements.md").replace("**", "")
    section = re.search(r"^## Measured\n(.*?)^## ", text_of("README.md"), flags=re.S | re.M)[1].replace("**", "")
    rows = [row for row in section.splitlines() if row.startswith("|") and re.search(SHARE, row)]
    assert len(rows) >= 5
    for row in rows:
        numbers = re.findall(SHARE, row)
        assert " | ".join(numbers) in measured, row
    assert set(re.findall(SHARE, section)) <= set(re.findall(SHARE, measured))
