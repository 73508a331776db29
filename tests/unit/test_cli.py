# SPDX-License-Identifier: GPL-2.0
"""How each program of scripts/ ends: by what it returned, or by what went wrong."""

import subprocess
import sys
from pathlib import Path

import pytest

from vmxlab import REPO


def program(folder: Path, body: str) -> Path:
    """A program that does `body`, beside a link to the package."""
    (folder / "vmxlab").symlink_to(REPO / "scripts/vmxlab")
    made = folder / "example"
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    made.write_text("import os, signal, sys, time\nfrom vmxlab import cli\n"
                    "from vmxlab.errors import LabError\n"
                    f"def main():\n{lines}cli.main(main)\n", encoding="utf-8")
    return made


@pytest.mark.parametrize(("body", "status", "said"), [
    ("pass", 0, ""),
    ("return 3", 3, ""),
    ("raise LabError('it broke', 'Mend it.')", 69, "example: it broke\n  Mend it.\n"),
    ("raise LabError('it does not fit', status=65)", 65, "example: it does not fit\n"),
    ("open('/nowhere/at/all')", 69, "example: /nowhere/at/all: No such file or directory\n"),
    ("raise OSError('out of pty devices')", 69, "example: out of pty devices\n"),
    ("os.kill(os.getpid(), signal.SIGINT); time.sleep(9)", 130, "example: interrupted\n"),
    ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)", 130, "example: interrupted\n"),
    ("os.kill(os.getpid(), signal.SIGHUP); time.sleep(9)", 130, "example: interrupted\n"),
])
def test_a_program_ends_with_a_line_and_a_status(tmp_path: Path, body: str, status: int,
                                                 said: str) -> None:
    done = subprocess.run([sys.executable, program(tmp_path, body)], capture_output=True,
                          text=True, check=False)
    assert (done.returncode, done.stderr) == (status, said)


@pytest.mark.parametrize(("words", "status"), [
    (["--number", "7"], 7), (["--help"], 0), (["--number"], 64), (["--num", "7"], 64),
    (["--number", "x"], 64), (["--other"], 64),
])
def test_wrong_usage_has_a_status_of_its_own(tmp_path: Path, words: list[str],
                                             status: int) -> None:
    made = program(tmp_path, "parser = cli.Parser('What it does.')\n"
                             "parser.add_argument('--number', type=int)\n"
                             "return parser.parse_args().number")
    done = subprocess.run([sys.executable, made, *words], capture_output=True, text=True,
                          check=False)
    assert done.returncode == status
    assert ("usage: scripts/example" in done.stderr) == (status == 64)
    assert ("What it does." in done.stdout) == (words == ["--help"])


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    made = program(tmp_path, "for number in range(100_000):\n    print(number)")
    with subprocess.Popen([sys.executable, made], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as running:
        assert running.stdout and running.stderr
        assert running.stdout.readline() == b"0\n"
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait() == 0
