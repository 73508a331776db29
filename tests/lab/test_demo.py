# SPDX-License-Identifier: GPL-2.0
"""What `make demo` does, and that the README shows what it really prints."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from exits import check_shown
from vmxlab import REPO


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The demo's output, and the folder with its files."""
    out = tmp_path_factory.mktemp("demo")
    done = subprocess.run([REPO / "scripts/demo"], env=os.environ | {"OUT": str(out)},
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout, out


def blocks(kind: str) -> list[str]:
    """The README's fenced blocks of one kind."""
    readme = (REPO / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```$", readme, re.M | re.S)


def test_the_readme_shows_lines_of_the_modules_real_log(demo: tuple[str, Path]) -> None:
    log = (demo[1] / "out/vmx_caps.log").read_text(encoding="utf-8").splitlines()
    for line in blocks("text")[0].splitlines():
        assert line in log, line


def test_the_demo_ends_with_the_exits_of_the_nested_guest(demo: tuple[str, Path]) -> None:
    output, out = demo
    # On a terminal the program writes in colours.
    guest = re.sub(r"\x1b\[[0-9;]*m", "", (out / "l2.console").read_text(encoding="utf-8"))
    for name in ("CPUID", "External interrupt", "WRMSR or WRMSRNS"):
        assert re.search(rf"^ *\d+ +{name} ", guest, re.M), guest
    # The head line of the README's table is the program's own, and so are its rows.
    head = blocks("text")[1].splitlines()[0]
    assert head.split() in [line.split() for line in guest.splitlines()], guest
    check_shown(blocks("text")[1], guest.split("VM exits while it ran")[0])
    assert re.search(r"^VM exits while it ran: dd .*\n(?:.*\n)+? +All exits .*\n", guest,
                     re.M), guest
    assert f"{out}/out/vmx_caps.log" in output


def test_every_command_of_the_readme_exists() -> None:
    commands = "\n".join(blocks("sh"))
    makefile = (REPO / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"^make ([a-z-]+)", commands, re.M)):
        assert re.search(rf"^{target}:", makefile, re.M), target
    for script in set(re.findall(r"\bscripts/[\w-]+", commands)):
        assert os.access(REPO / script, os.X_OK), script
    text = subprocess.run([REPO / "scripts/lab", "--help"], capture_output=True, text=True,
                          check=True).stdout
    for line in re.findall(r"^scripts/lab .*$", commands, re.M):
        for option in re.findall(r"--[\w-]+", line.split("#")[0]):
            assert option in text, option
