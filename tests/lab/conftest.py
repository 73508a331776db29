# SPDX-License-Identifier: GPL-2.0
"""What lab tests share: runs of scripts/lab, each made once a session."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "scripts"))

from vmxlab import kernel  # noqa: E402

# Set by scripts/run-tests: the second kernel, or why there is none.
SECOND = os.environ.get("VMXSCOPE_SECOND", "7.3")
WHY_NO_SECOND = os.environ.get("VMXSCOPE_WHY_NO_SECOND", "")


@dataclass(frozen=True)
class Run:
    """A finished run of scripts/lab."""

    status: int
    stderr: str
    out: Path

    @property
    def l1(self) -> str:
        """The console of L1."""
        return (self.out / "l1.console").read_text(encoding="utf-8", errors="replace")

    @property
    def l2(self) -> str:
        """The console of the nested guest."""
        return (self.out / "l2.console").read_text(encoding="utf-8", errors="replace")

    def file(self, name: str) -> str:
        """A file that L1 left in /out."""
        return (self.out / "out" / name).read_text(encoding="utf-8", errors="replace")


class Lab:
    """Runs scripts/lab; the same call is made once a session."""

    def __init__(self, top: Path) -> None:
        self.top, self.kept = top, {}

    def script(self, text: str) -> Path:
        """A script as a file."""
        path = self.top / f"script-{len(list(self.top.iterdir()))}"
        path.write_text(text, encoding="utf-8")
        return path

    def run(self, *args: object, l1: str = "", l2: str = "", env: dict[str, str] | None = None) -> Run:
        """Run the lab with scripts given as text."""
        key = (args, l1, l2, tuple((env or {}).items()))
        if key not in self.kept:
            words = [str(arg) for arg in args]
            words += ["--l1", str(self.script(l1))] if l1 else []
            words += ["--l2", str(self.script(l2))] if l2 else []
            out = self.top / f"run-{len(self.kept)}"
            done = subprocess.run(
                [REPO / "scripts/lab", "--quiet", "--out", out, *words],
                capture_output=True, text=True, check=False, env=os.environ | (env or {}),
            )
            self.kept[key] = Run(done.returncode, done.stderr, out)
        return self.kept[key]


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make test-all` runs the whole matrix."""
    parser.addoption("--all-of-the-matrix", action="store_true", help="run tests marked matrix")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marks of these tests."""
    config.addinivalue_line("markers", "matrix: one more machine of the matrix (make test-all)")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the rest of the matrix, unless it is asked for, and keep tests together
    that look at the same run of the lab, so that it is made once."""
    if not config.getoption("--all-of-the-matrix"):
        left_out = [item for item in items if item.get_closest_marker("matrix")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    for item in items:
        name = item.path.stem
        machine = getattr(getattr(item, "callspec", None), "id", "")
        if name in ("test_caps", "test_exits", "test_lifecycle") and machine:
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
    done = subprocess.run([REPO / "scripts/build-cli"], check=True, stdout=subprocess.PIPE, text=True)
    return Path(done.stdout.strip())


@pytest.fixture(scope="session")
def provoke(tmp_path_factory: pytest.TempPathFactory) -> "Provoke":
    """Builds the module that provokes exits, for a kernel of the lab."""
    return Provoke(tmp_path_factory.mktemp("provoke"))


class Provoke:
    """provoke.ko by kernel series."""

    def __init__(self, top: Path) -> None:
        self.top = top

    def module(self, series: str, patched: bool = True) -> Path:
        """The module for that kernel."""
        folder = self.top / f"{series}-{patched}"
        if not folder.exists():
            shutil.copytree(REPO / "tests/lab/provoke", folder)
            kernel.run_make(kernel.get(series, patched).tree, f"M={folder}", "modules")
        return folder / "provoke.ko"


def build_c(source: Path, folder: Path) -> Path:
    """Compile a C program for L1 or L2, which have no libraries of their own."""
    program = folder / source.stem
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o", program, source],
                   check=True)
    return program


def second_kernel() -> str:
    """The second kernel's series; the test is not run where it cannot be had."""
    if WHY_NO_SECOND:
        pytest.skip(f"no second kernel: {WHY_NO_SECOND}")
    return SECOND
