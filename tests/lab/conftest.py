# SPDX-License-Identifier: GPL-2.0
"""What lab tests share: runs of scripts/lab, each made once a session."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import pytest

from vmxlab import REPO, cli, guest, kernel, machine
from vmxlab.guest import build_c
from vmxlab.machine import Run

# The files whose tests take longest, which are begun with, so that none of them is what
# all others have ended before.
LONGEST = ("test_stretches", "test_kvm_modules", "test_bench", "test_attach", "test_setup",
           "test_experiments", "test_known_causes", "test_debian", "test_demo", "test_leaves",
           "test_lab", "test_exits", "test_nested", "test_lifecycle", "test_program", "test_amd")


# What Bochs does to a nested guest now and then, on several CPUs: docs/lab.md has why.
BOCHS_FAULT = "BUG: ENTRY_TRAMPOLINE stack guard page was hit"
ATTEMPTS = 5


def several_cpus(words: tuple[object, ...]) -> bool:
    """Whether the machine that is asked for has several emulated CPUs."""
    return any(option == "--cpus" and str(number) != "1"
               for option, number in pairwise(words))


class Lab:
    """Runs the lab; the same call is made once a session."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.kept: dict[object, Run] = {}

    def run(self, *words: object, l1: str = "", l2: str = "",
            env: Mapping[str, str] | None = None) -> Run:
        """Run the lab with scripts given as text."""
        key = (words, l1, l2, tuple((env or {}).items()))
        if key not in self.kept:
            for attempt in range(ATTEMPTS if several_cpus(words) else 1):
                out = self.top / f"run-{len(self.kept)}-{attempt}"
                run = machine.lab(out, *words, l1=l1, l2=l2, env=env)
                if BOCHS_FAULT not in run.l1 + run.l2:
                    break
                print(f"Bochs' fault on several CPUs ended the guest: {out}")
            self.kept[key] = run
        return self.kept[key]


def pytest_configure() -> None:
    """What ends pytest ends the machines that its tests started, too."""
    cli.terminate_on_signals()


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make test-all` runs the whole matrix."""
    parser.addoption("--all-of-the-matrix", action="store_true", help="run tests marked matrix")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the rest of the matrix, unless it is asked for, and keep tests together
    that look at the same run of the lab, so that it is made once."""
    if not config.getoption("--all-of-the-matrix"):
        left_out = [item for item in items if item.get_closest_marker("matrix")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))
    for item in items:
        name = item.path.stem
        machine = getattr(getattr(item, "callspec", None), "id", "")
        made = re.match(r"debian-[\d.]+", machine)
        if name in ("test_exits", "test_kvm_modules") and made:
            item.add_marker(pytest.mark.xdist_group(made[0]))
        elif name in ("test_caps", "test_exits", "test_lifecycle", "test_setup") and machine:
            item.add_marker(pytest.mark.xdist_group(f"{name}-{machine}"))
        elif name not in ("test_lab", "test_caps"):
            item.add_marker(pytest.mark.xdist_group(name))


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """The lab."""
    return Lab(tmp_path_factory.mktemp("lab"))


@pytest.fixture(scope="session")
def msrdump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The independent reader of MSRs, built as a static program."""
    return build_c(REPO / "tests/lab/msrdump.c", tmp_path_factory.mktemp("msrdump"))


@pytest.fixture(scope="session")
def l3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small VMM, built as a static program."""
    return build_c(REPO / "tests/lab/l3.c", tmp_path_factory.mktemp("l3"))


@pytest.fixture(scope="session")
def vmxscope() -> Path:
    """The command-line program, built as people copy it into a guest."""
    return guest.vmxscope()


@pytest.fixture(scope="session")
def provoke(tmp_path_factory: pytest.TempPathFactory) -> "Provoke":
    """Builds the module that provokes exits, for a kernel of the lab."""
    return Provoke(tmp_path_factory.mktemp("provoke"))


@pytest.fixture(scope="session")
def make_kvm(tmp_path_factory: pytest.TempPathFactory) -> "MakeKvm":
    """Builds KVM's modules as people do for their own kernel."""
    return MakeKvm(tmp_path_factory.mktemp("make-kvm"))


class MakeKvm:
    """What `make kvm` made, by the base that it is for."""

    def __init__(self, top: Path) -> None:
        self.top = top

    def folder(self, base: str) -> Path:
        """The folder of the modules; `said` in it is what the command printed."""
        folder = self.top / base
        if not folder.exists():
            done = subprocess.run(
                ["make", "-s", "kvm", f"KDIR={kernel.base(base).headers}", f"OUT={folder}",
                 "ARGS=W=1 CLIPPY=1"], cwd=REPO, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            (folder / "said").write_text(done.stdout, encoding="utf-8")
        return folder


class Provoke:
    """provoke.ko by the base that it is for."""

    def __init__(self, top: Path) -> None:
        self.top = top

    def module(self, base: str) -> Path:
        """The module for that base."""
        folder = self.top / base
        if not folder.exists():
            shutil.copytree(REPO / "tests/lab/provoke", folder)
            kernel.run_make(kernel.base(base).headers, f"M={folder}", "modules")
        return folder / "provoke.ko"
