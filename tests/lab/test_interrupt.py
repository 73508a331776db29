# SPDX-License-Identifier: GPL-2.0
"""What interrupts a run of the lab, or the tests that started it, ends the machine as well."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import REPO

# A limit, not an expectation: a worker of pytest-xdist waits 5 s before it ends.
LIMIT = 120.0
TEST = """\
from vmxlab import machine


def test_that_never_ends(tmp_path):
    machine.lab(tmp_path / "run", "--stock", "--timeout", 10000, l1="sleep 10000")
"""


def marked(mark: str) -> dict[int, str]:
    """The command lines of the processes with this mark in their environment."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"VMXSCOPE_MARK={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                words = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                found[int(folder.name)] = words.decode(errors="replace")
        except OSError:
            pass  # It has ended.
    return {pid: words for pid, words in found.items() if words}  # A zombie has none.


def wait_for(state: Callable[[], bool], what: Callable[[], object]) -> None:
    """Wait until it is so; fail at the limit, with what is there instead."""
    end = time.monotonic() + LIMIT
    while not state():
        assert time.monotonic() < end, what()
        time.sleep(0.1)


@pytest.mark.parametrize(("program", "number"), [
    ("lab", signal.SIGINT), ("lab", signal.SIGTERM), ("lab", signal.SIGHUP),
    ("lab", signal.SIGKILL), ("pytest", signal.SIGTERM), ("pytest -n 1", signal.SIGINT),
    ("pytest -n 1", signal.SIGHUP), ("pytest -n 1", signal.SIGKILL),
])
def test_no_process_is_left_behind(program: str, number: signal.Signals, tmp_path: Path) -> None:
    words: list[str | Path] = [REPO / "scripts/lab", "--stock", "--timeout", "10000",
                               "--l1", tmp_path / "l1"]
    if program != "lab":
        words = [sys.executable, "-m", *program.split(), "-q", "-c", REPO / "tests/pytest.ini",
                 "-p", "no:cacheprovider", "-p", "conftest", "--basetemp", tmp_path / "top",
                 tmp_path / "test_one.py"]
    (tmp_path / "test_one.py").write_text(TEST, encoding="ascii")
    (tmp_path / "l1").write_text("sleep 10000\n", encoding="ascii")
    mark = uuid.uuid4().hex
    environment = {name: value for name, value in os.environ.items() if "XDIST" not in name}
    environment |= {"VMXSCOPE_MARK": mark, "PYTHONPATH": f"{REPO}/tests/lab:{REPO}/scripts"}
    with (open(tmp_path / "said", "wb") as said,
          subprocess.Popen(words, env=environment, stdout=said, stderr=said,
                           start_new_session=True) as runner):
        wait_for(lambda: any("bochsrc" in line or "-no-reboot" in line
                             for line in marked(mark).values()),
                 lambda: (tmp_path / "said").read_text(encoding="utf-8"))
        runner.send_signal(number)
        wait_for(lambda: not marked(mark), lambda: marked(mark))
