"""`python -m privkd` is the command line."""

from privkd.cli import main

main()
