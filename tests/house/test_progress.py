"""Long work says that it goes on, how far it is and how long it will take: on a terminal and in a file."""

import io
import logging
import os
import re
import subprocess
import sys
import threading
import time

import pytest

from privkd import progress
from privkd.teachers.isolation import isolated


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def fast(monkeypatch):
    """A line every 50 ms, and what takes over 0.3 s is long."""
    monkeypatch.setattr(progress, "_FIRST", 0.05)
    monkeypatch.setattr(progress, "_EVERY", 0.05)
    monkeypatch.setattr(progress, "_LONG", 0.3)
    monkeypatch.setattr(progress, "_SETTLED", 0.02)


def lines(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "privkd"]


def steps(count: int, seconds: float, description: str = "asking 5 teachers") -> None:
    with progress.track(description, count) as advance:
        for _ in range(count):
            time.sleep(seconds)
            advance()


def test_a_stage_tells_count_share_and_estimate_in_a_file(fast, caplog):
    caplog.set_level(logging.INFO, logger="privkd")
    steps(10, 0.04)
    said = [
        line for line in lines(caplog) if re.fullmatch(r"asking 5 teachers: \d of 10 \(\d+ %\), about \d s left", line)
    ]
    assert len(said) >= 3
    assert lines(caplog)[-1] == "asking 5 teachers: 10 steps done"


def test_a_short_stage_says_one_line_only(caplog):
    caplog.set_level(logging.INFO, logger="privkd")
    steps(10, 0.0)
    assert lines(caplog) == ["asking 5 teachers: 10 steps done"]


def test_what_will_take_long_says_so_after_its_first_steps_and_once(fast, caplog):
    caplog.set_level(logging.INFO, logger="privkd")
    steps(16, 0.04)
    forecasts = [line for line in lines(caplog) if "will take about" in line]
    assert forecasts == ["asking 5 teachers will take about 1 s"]
    assert lines(caplog).index(forecasts[0]) <= 1
    caplog.clear()
    steps(5, 0.01)
    assert not any("will take" in line for line in lines(caplog))


def test_the_estimate_is_that_of_equal_steps():
    stage = progress._Stage("x", 100, done=25, begun=time.monotonic() - 40)
    assert stage.left() == pytest.approx(120, abs=1)
    assert stage.line() == "x: 25 of 100 (25 %), about 2 min left"
    assert stage.forecast() == "x will take about 3 min"
    assert stage.forecast() is None
    assert progress._Stage("x", 100).left() is None
    assert progress._Stage("x", 0).line() == "x: 0 of 0"


def test_a_stage_without_steps_says_that_it_is_still_at_work(fast, caplog):
    caplog.set_level(logging.INFO, logger="privkd")
    with progress.working("k-means"):
        time.sleep(0.2)
    assert len(lines(caplog)) >= 2
    assert set(lines(caplog)) == {"k-means: still at work after 1 s"}


def test_one_step_that_takes_long_is_not_silent(fast, caplog):
    caplog.set_level(logging.INFO, logger="privkd")
    steps(1, 0.2)
    assert "asking 5 teachers: 0 of 1 (0 %)" in lines(caplog)


def test_many_short_stages_are_not_silent_together_nor_a_line_each(monkeypatch, caplog):
    caplog.set_level(logging.INFO, logger="privkd")
    monkeypatch.setattr(progress, "_FIRST", 0.03)
    monkeypatch.setattr(progress, "_EVERY", 0.2)
    monkeypatch.setattr(progress._display, "_said", time.monotonic())
    for position in range(10):
        with progress.working(f"stage {position}"):
            time.sleep(0.06)
    assert 1 <= len(lines(caplog)) <= 4


def test_a_function_may_be_a_stage(fast, caplog):
    caplog.set_level(logging.INFO, logger="privkd")

    @progress.working("fitting")
    def fitted(value):
        time.sleep(0.12)
        return value

    assert [fitted(1), fitted(2)] == [1, 2]
    assert "fitting: still at work after 1 s" in lines(caplog)


def test_nested_stages_share_a_line_and_leave_no_thread_behind(fast, caplog):
    caplog.set_level(logging.INFO, logger="privkd")
    with progress.track("outer", 2) as advance:
        advance()
        steps(4, 0.04, "inner")
    assert any(re.fullmatch(r"outer: 1 of 2 \(50 %\).*; inner: \d of 4.*", line) for line in lines(caplog))
    assert lines(caplog)[-1] == "outer: 2 steps done"
    assert "inner: 4 steps done" not in lines(caplog)
    time.sleep(0.1)
    assert not [thread for thread in threading.enumerate() if thread.name == "privkd progress"]


def test_a_failed_stage_ends_its_display(fast, caplog):
    caplog.set_level(logging.INFO, logger="privkd")
    with pytest.raises(RuntimeError, match="broken"), progress.track("x", 3):
        raise RuntimeError("broken")
    caplog.clear()
    time.sleep(0.15)
    assert lines(caplog) == []


def test_stages_of_several_threads_end_in_any_order(fast):
    ends = [threading.Event() for _ in range(3)]

    def work(end: threading.Event) -> None:
        with progress.working("thread"):
            end.wait(5)

    threads = [threading.Thread(target=work, args=(end,)) for end in ends]
    for thread, end in zip(threads, ends, strict=True):
        thread.start()
        time.sleep(0.01)
        if end is ends[1]:
            ends[0].set()
    for end in ends:
        end.set()
    for thread in threads:
        thread.join(5)
    assert progress._display._stages == []


def test_a_terminal_shows_bars_with_an_estimate_and_is_left_clean(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with progress.track("outer", 4) as advance:
        advance()
        with progress.working("inner"):
            progress._display._bars.refresh()
    assert "outer" in screen.getvalue()
    assert "inner" in screen.getvalue()
    assert "1/4" in screen.getvalue()
    assert progress._display._bars is None


@pytest.mark.parametrize(("setting", "said"), [("", True), ("logging.getLogger('privkd').setLevel('ERROR')", False)])
def test_a_script_without_any_logging_sees_long_stages_in_its_stderr(setting, said, tmp_path):
    script = (
        f"import logging, time\nfrom privkd import progress\nprogress._FIRST = progress._EVERY = 0.05\n{setting}\n"
        "with progress.track('short', 1) as advance: advance()\n"
        "with progress.working('one big fit'): time.sleep(0.2)"
    )
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert ("one big fit: still at work after 1 s\n" in done.stderr) == said
    assert "short" not in done.stderr
    assert done.stdout == ""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_worker_begins_without_stages_and_with_an_open_lock():
    with progress.working("x"), progress._display._lock:
        child = os.fork()
        if child == 0:
            with progress.working("y"):
                os._exit(0 if len(progress._display._stages) == 1 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_what_silences_a_block_inside_does_not_silence_progress(fast, caplog, monkeypatch):
    """Teachers run with logging disabled and stderr redirected, for most of the time that a stage takes."""
    caplog.set_level(logging.INFO, logger="privkd")
    with progress.track("asking 5 teachers", 5) as advance, isolated(0):
        for _ in range(5):
            time.sleep(0.06)
            advance()
    assert any(re.match(r"asking 5 teachers: \d of 5", line) for line in lines(caplog))
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress.log, "hasHandlers", lambda: False)
    with progress.track("asking 5 teachers", 5), isolated(0):
        time.sleep(0.2)
    assert "asking 5 teachers: 0 of 5" in stream.getvalue()
