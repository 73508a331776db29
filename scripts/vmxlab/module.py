# SPDX-License-Identifier: GPL-2.0
"""vmx_caps.ko, built out of tree against a kernel of the lab."""

import shutil
from pathlib import Path

from . import cache, toolchain
from .kernel import Kernel, run_make
from .progress import Step
from .toolchain import REPO


def sources() -> list[Path]:
    """What the module is built from."""
    suffixes = (".rs", ".c", ".h")
    return [REPO / "Kbuild", *sorted(p for p in (REPO / "src").rglob("*") if p.suffix in suffixes)]


def vmx_caps(kernel: Kernel) -> Path:
    """The module for that kernel, built in a folder of its own in the cache."""
    key = cache.digest(kernel.key, toolchain.versions(), sources())

    def build(folder: Path) -> None:
        for path in sources():
            target = folder / path.relative_to(REPO)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
        with Step(f"Building vmx_caps for Linux {kernel.version}"):
            run_make(kernel.tree, f"M={folder}", "modules")

    what = f"vmx_caps for Linux {kernel.version}"
    return cache.entry("modules", key, build, what=what) / "vmx_caps.ko"
