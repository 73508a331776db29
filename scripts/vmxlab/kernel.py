# SPDX-License-Identifier: GPL-2.0
"""The lab's kernels: source, configuration, stock and patched builds."""

import os
import re
import shutil
import subprocess
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import cache, source, toolchain
from .errors import LabError
from .progress import Step
from .toolchain import REPO

CONFIGS = REPO / "tests/kernel"
# A change to how kernels are built must change this, and so every key.
RECIPE = 1
# Lines that make prints for a whole build, for the progress estimate only.
ESTIMATE = {"whole": 1800, "again": 420}
STEP = re.compile(rb"^  (?:[A-Z]+ |[A-Z]+\t)")


@dataclass(frozen=True)
class Kernel:
    """A built kernel: its tree (objects are beside the sources) and its names."""

    tree: Path
    series: str
    version: str
    patched: bool
    key: str

    @property
    def image(self) -> Path:
        """The bootable image, for the lab's machine and its guest alike."""
        return self.tree / "arch/x86/boot/bzImage"

    def modules(self) -> list[Path]:
        """The modules that were built: KVM's, and those that they need."""
        order = (self.tree / "modules.order").read_text(encoding="ascii").split()
        return [self.tree / Path(name).with_suffix(".ko") for name in order]


def fragments(series: str, patched: bool) -> list[Path]:
    """The configuration fragments that a kernel is made of, in order."""
    names = [CONFIGS / f"{n}.config" for n in ("base", "guest", "rust", "kvm", "trace", "trim")]
    own = CONFIGS / f"{series}.config"
    names += [own] if own.exists() else []
    return names + ([CONFIGS / "patched.config"] if patched else [])


def run_make(tree: Path, *arguments: str, step: Step | None = None) -> None:
    """Run make in a kernel tree; on failure show the lines that say why."""
    command = ["make", f"LLVM={toolchain.llvm()}", f"-j{toolchain.jobs()}", *arguments]
    tail: deque[bytes] = deque(maxlen=60)
    with subprocess.Popen(
        command, cwd=tree, env=toolchain.make_env(), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            tail.append(line)
            if step and STEP.match(line):
                step.tick()
    if process.returncode:
        text = b"".join(tail).decode(errors="replace")
        if "No space left on device" in text:
            raise LabError(
                f"the disk that holds {tree} is full",
                "Free some space (`make cache-size`, `make clean-cache`), or name another "
                "folder with VMXSCOPE_CACHE=. What was built is kept and make goes on from it.",
            )
        errors = [line for line in text.splitlines() if re.search(r"error|Error|\*\*\*", line)]
        shown = "\n".join(errors[:20] or text.splitlines()[-20:])
        raise LabError(
            f"`{' '.join(command)}` failed in {tree} with status {process.returncode}:\n{shown}",
            "The same command in that folder shows all of its output.",
        )


def configure(tree: Path, series: str, patched: bool) -> None:
    """Merge the fragments onto tinyconfig, and check that each option took."""
    run_make(tree, "-s", "tinyconfig")
    parts = fragments(series, patched)
    merge = ["scripts/kconfig/merge_config.sh", "-m", ".config", *map(str, parts)]
    subprocess.run(merge, cwd=tree, env=toolchain.make_env(), check=True, capture_output=True)
    run_make(tree, "-s", "olddefconfig")
    check_config((tree / ".config").read_text(encoding="utf-8"), parts)


def check_config(config: str, parts: list[Path]) -> None:
    """Raise if an option of a fragment is not in the final configuration.

    A later fragment overrides an earlier one. An option that is to be off may
    as well be absent: its menu is off too.
    """
    have = set(config.splitlines())
    wanted: dict[str, tuple[str, Path]] = {}
    for part in parts:
        for line in part.read_text(encoding="utf-8").splitlines():
            match = re.match(r"(?:# )?(CONFIG_\w+)(?:=| is not set)", line)
            if match:
                wanted[match[1]] = (line, part)
    missed = []
    for name, (line, part) in wanted.items():
        off = line.endswith("is not set")
        if line not in have and not (off and not any(h.startswith(f"{name}=") for h in have)):
            now = next((h for h in have if re.search(rf"\b{name}\b", h)), "no such option")
            missed.append(f"  {part.name}: {line} (the kernel has: {now})")
    if missed:
        raise LabError(
            "options of the kernel configuration did not take:\n" + "\n".join(missed),
            "An option that a series lacks goes into tests/kernel/SERIES.config; one with "
            "dependencies needs them in the same fragment.",
        )


def get(series: str, patched: bool = False, tree: Path | None = None) -> Kernel:
    """The kernel of a series, or of the user's own tree, built unless it is kept."""
    own = tree or (Path(t) if (t := os.environ.get("KERNEL_TREE")) else None)
    if own:
        return _from_tree(own.resolve(), patched)
    return _from_source(source.fetch(series, cache.root()), patched)


def _key(origin: list[str], series: str, patched: bool) -> str:
    parts: list[object] = [RECIPE, origin, toolchain.versions(), fragments(series, patched)]
    if patched:
        parts += patch_inputs(series)
    return cache.digest(*parts)


def has_series(series: str) -> bool:
    """Whether there is a patch series of ours for these kernels."""
    return any((REPO / "patches" / series).glob("*.patch"))


def patch_inputs(series: str) -> list[Path]:
    """All files of ours that go into a patched kernel."""
    room = REPO / "kvm-instrumentation"
    # What cargo alone reads is not among them.
    ours = [p for p in (*room.glob("*"), *room.glob("src/*"))
            if p.is_file() and p.name != "Cargo.toml"]
    scripts = [REPO / "scripts" / name for name in ("patch-kernel", "kvmseries.py")]
    return [REPO / "patches" / series, *scripts, *sorted(ours)]


def _from_source(src: "source.KernelSource", patched: bool) -> Kernel:
    origin = [src.series, src.debian_version]
    if not src.debian_version:  # A tarball that the user put there.
        origin += [src.version, str(src.tarball.stat().st_mtime_ns), str(src.tarball.stat().st_size)]
    key = _key(origin, src.series, patched)
    what = f"Linux {src.version}{' with our patches' if patched else ''}"

    def unpack(tree: Path) -> None:
        with Step(f"Unpacking Linux {src.version}"):
            command = ["tar", "xf", str(src.tarball), "-C", str(tree), "--strip-components=1"]
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            if result.returncode:
                if "No space left" not in result.stderr:
                    source.discard(src)
                raise LabError(
                    f"{src.tarball} cannot be unpacked: {result.stderr.strip()[-400:]}",
                    "Check the free space with df. An archive that was broken has been removed: "
                    "the next run fetches it again.",
                )

    def fill(tree: Path) -> None:
        if patched:
            copy_tree(_from_source(src, False).tree, tree)
        else:
            unpack(tree)

    folder = cache.entry(
        "kernels", key, lambda f: _build(f, fill, src.series, patched, what),
        resume=True, what=what,
    )
    return Kernel(folder / "tree", src.series, src.version, patched, key)


def _build(
    folder: Path, fill: Callable[[Path], None], series: str, patched: bool, what: str
) -> None:
    """Fill `folder/tree` once, then configure and build it.

    An interrupted fill is done again from nothing, an interrupted build goes on.
    """
    tree, filled = folder / "tree", folder / "filled"
    if not filled.exists():
        if tree.exists():
            shutil.rmtree(tree)
        tree.mkdir()
        fill(tree)
        filled.touch()
    if patched:
        command = [str(REPO / "scripts/patch-kernel"), "apply", str(tree)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LabError(f"our series does not go onto {what}:\n{done.stderr.strip()}",
                           "`make patch KERNEL_TREE=...` tries it on a tree of your own.")
    configure(tree, series, patched)
    # The stock build was copied for a kernel with our patches, but not for the user's own tree.
    built = (tree / "vmlinux").exists()
    with Step(f"Building {what}", ESTIMATE["again" if built else "whole"]) as step:
        run_make(tree, "bzImage", "modules", step=step)


def copy_tree(old: Path, new: Path) -> None:
    """Copy a built tree, times included, so that make sees nothing to do."""
    command = ["cp", "-a", "--reflink=auto", f"{old}/.", str(new)]
    with Step("Copying the stock build"):
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise LabError(f"the copy of {old} failed: {result.stderr.strip()[-400:]}",
                       "Check the free space with df.")


def series_of(tree: Path) -> tuple[str, str]:
    """The series and the version that a tree's Makefile states."""
    try:
        text = (tree / "Makefile").read_text(encoding="utf-8")
        number = {
            name: re.search(rf"^{name} = *(\S*)$", text, re.M)[1]  # type: ignore[index]
            for name in ("VERSION", "PATCHLEVEL", "SUBLEVEL", "EXTRAVERSION")
        }
    except (OSError, TypeError) as error:
        raise LabError(
            f"{tree} is not a kernel source tree: {error}",
            "KERNEL_TREE= takes the top folder of one, where its Makefile is.",
        ) from error
    series = f"{number['VERSION']}.{number['PATCHLEVEL']}"
    return series, f"{series}.{number['SUBLEVEL']}{number['EXTRAVERSION']}"


def _from_tree(own: Path, patched: bool) -> Kernel:
    """Build a copy of the user's tree; the tree itself is left alone."""
    series, version = series_of(own)
    skip = ("--exclude=.git", "--exclude=*.o", "--exclude=*.cmd", "--exclude=*.ko",
            "--exclude=/vmlinux*", "--exclude=/.config*")
    listing = subprocess.run(
        ["find", ".", "-name", ".git", "-prune", "-o", "-name", "*.[chSK]*", "-printf",
         "%P %s %T@\n", "-o", "-name", "*.rs", "-printf", "%P %s %T@\n"],
        cwd=own, capture_output=True, text=True, check=True,
    )
    files = sorted(line for line in listing.stdout.splitlines() if ".cmd" not in line)
    key = _key([str(own), *files], series, patched)
    what = f"Linux {version} of {own}{' with our patches' if patched else ''}"

    def fill(tree: Path) -> None:
        with Step(f"Copying {own}"):
            subprocess.run(["rsync", "-a", *skip, f"{own}/", f"{tree}/"], check=True)

    folder = cache.entry(
        "kernels", key, lambda f: _build(f, fill, series, patched, what), resume=True, what=what
    )
    return Kernel(folder / "tree", series, version, patched, key)
