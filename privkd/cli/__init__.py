"""The command line: every command parses, calls one library function and prints; heavy imports wait."""

from privkd.cli.app import main as main

__all__ = ["main"]
