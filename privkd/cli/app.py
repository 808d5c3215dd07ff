"""The application: its commands, and what is set up once for all of them."""

from __future__ import annotations

import typer

from privkd.cli import account, audit, demo, plot, recipes, report, train, transcribe
from privkd.cli.output import set_up_stderr

_HELP = """Turn a model trained on private data into a student with a stated guarantee, and prove it.

Exit codes: 0 done (audit, report: proven), 1 a claim is false or void (audit) or not proven again (report),
2 unproven (audit) or a mistyped command line, 3 refused by the library or unreadable input, 130 interrupted.
Tables and JSON go to stdout, everything else to stderr.
"""

app = typer.Typer(
    help=_HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # boxes with local variables could print private records
)
app.command()(demo.demo)
app.command()(transcribe.transcribe)
app.command()(account.account)
app.command()(account.calibrate)
app.command()(audit.audit)
app.command()(plot.plot)
app.command()(report.report)
app.command()(recipes.recipes)
app.command()(train.train)


@app.callback(invoke_without_command=True)
def _root(version: bool = typer.Option(False, "--version", help="print the version and exit", is_eager=True)) -> None:
    if version:
        from privkd import __version__

        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line of `privkd`."""
    set_up_stderr()
    app(prog_name="privkd")
