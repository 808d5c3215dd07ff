"""What the README shows runs as it stands, and prints what its comments promise."""

import ast
import contextlib
import doctest
import io
import re
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def printed_claims(block):
    """The statements of a block with the output that comments promise for their prints; "..." stands for anything."""
    lines = block.splitlines()
    for number, statement in enumerate(ast.parse(block).body):
        found = re.search(r"\)  # (.+)$", lines[statement.end_lineno - 1])
        is_print = isinstance(statement, ast.Expr) and ast.unparse(statement).startswith("print(")
        yield number, statement, found[1].split("; ")[0] if found and is_print else None


def test_promises_are_read_from_the_comments_of_prints_alone():
    block = "x = 1  # one\nprint(x)  # 1; a remark\nprint(x)\n"
    assert [promised for _, _, promised in printed_claims(block)] == [None, "1", None]


def test_examples_of_the_readme_print_what_their_comments_promise(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checker, checked = doctest.OutputChecker(), 0
    for block in re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.S):
        names = {"__name__": "readme"}
        for number, statement, promised in printed_claims(block):
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                exec(compile(ast.Module([statement], []), f"README.md statement {number}", "exec"), names)
            if promised is not None:
                wanted, got = f"{promised}\n", output.getvalue()
                assert checker.check_output(wanted, got, doctest.ELLIPSIS), f"promised {promised!r}, printed {got!r}"
                checked += 1
    assert checked >= 4
