"""`python -m privkd.cli` is the command line, too."""

from privkd.cli import main

main()
