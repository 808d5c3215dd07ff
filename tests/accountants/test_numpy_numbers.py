"""Numbers of numpy, in a process of its own: the run-time type checks of this test run know Python's own numbers only."""

import subprocess
import sys
from pathlib import Path


def test_numbers_of_numpy_are_stored_as_plain_numbers_or_refused():
    tests = Path(__file__).with_name("numpy_numbers.py")
    command = [sys.executable, "-m", "pytest", "-q", "--noconftest", "-p", "no:cacheprovider", str(tests)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout
