# SPDX-License-Identifier: GPL-2.0
"""The lab's kernels: a base, which boots, and the KVM modules that go with it.

A base is an image and the headers that modules for it are built against:
Debian's own kernels as they are, or a small one of ours, which boots in a
fraction of the time. A set of KVM modules is stock, with our series, a
course's, or a folder's. So a change to KVM never rebuilds a kernel.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vmxlab import REPO, cache, source, tools
from vmxlab.errors import LabError
from vmxlab.process import tied
from vmxlab.progress import Step

CONFIGS = REPO / "tests/kernel"
# Of each, a small kernel of each series with these options as well is a base.
VARIANTS = CONFIGS / "variants"
# A change to how kernels are built must change this, and so every key.
RECIPE = 2
# Files that a whole build of a small kernel compiles, for the progress estimate only.
ESTIMATE = 1450
STEP = re.compile(rb"^  (?:[A-Z]+ |[A-Z]+\t)")
# Sources that no lab kernel compiles; their Kconfig files and Makefiles stay, which are read.
UNUSED = (
    "Documentation/*.yaml", "arch/*.dts*", "sound/*.[ch]",
    "drivers/gpu/*.[ch]", "drivers/net/ethernet/*.[ch]", "drivers/net/wireless/*.[ch]",
    "drivers/media/*.[ch]", "drivers/infiniband/*.[ch]", "drivers/scsi/*.[ch]",
    "drivers/staging/*.[ch]", "drivers/iio/*.[ch]", "tools/perf/*", "tools/testing/selftests/bpf/*",
    *(f"arch/{name}/*.[chS]" for name in (
        "alpha", "arc", "arm", "arm64", "csky", "hexagon", "loongarch", "m68k", "microblaze",
        "mips", "nios2", "openrisc", "parisc", "powerpc", "riscv", "s390", "sh", "sparc", "um",
        "xtensa")),
)


@dataclass(frozen=True)
class Base:
    """A kernel that boots: its image, and the folder that modules are built against."""

    name: str
    series: str
    version: str  # what uname -r says in it
    image: Path
    headers: Path
    key: str

    @property
    def arch_headers(self) -> Path:
        """Where arch/x86/include lies: Debian has a package of what flavours share."""
        common = self.headers.with_name(re.sub(r"-amd64$", "-common", self.headers.name))
        return common if common.exists() else self.headers


def names() -> list[str]:
    """All bases that there are by name."""
    small = sorted(path.name for path in (REPO / "patches").iterdir())
    kinds = ["small", *sorted(path.stem for path in VARIANTS.iterdir())]
    return [*(f"{kind}-{series}" for kind in kinds for series in small),
            *(f"debian-{series}" for series in source.SERIES)]


def base(name: str) -> Base:
    """A base by its name, fetched or built unless it is kept."""
    kind, _, series = name.partition("-")
    if name not in names():
        raise LabError(f"there is no base {name!r}", f"There are: {', '.join(names())}.")
    if kind != "debian":
        return _small(name)
    debian = source.debian_kernel(series)
    return Base(name, series, debian.release, debian.image, debian.headers,
                cache.digest(name, debian.release, debian.package_version))


def compilers() -> list[str]:
    """What builds kernels and modules, as it goes into their keys."""
    return tools.versions("gcc-14", "gcc-12", "binutils", "rustc", "rust-src")


def run_make(tree: Path, *arguments: str, step: Step | None = None) -> str:
    """Run make in a folder; on failure show the lines that say why. Returns its last output."""
    command = ["make", f"-j{jobs()}", *arguments]
    tail: deque[bytes] = deque(maxlen=200)
    environment = {k: v for k, v in os.environ.items()
                   # Flags meant for our own make or for other programs would leak into
                   # the kernel's build, and past the key of what is built.
                   if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "ARCH", "CROSS_COMPILE",
                                "KBUILD_OUTPUT", "LLVM", "KCFLAGS", "W", "M", "O")}
    environment |= {"KBUILD_BUILD_USER": "vmxscope", "KBUILD_BUILD_HOST": "lab"}
    with subprocess.Popen(
        tied(*command, end=signal.SIGTERM), cwd=tree, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                tail.append(line)
                if step and STEP.match(line):
                    step.tick()
        except BaseException:  # An interrupt, for one.
            process.terminate()
            raise
    text = b"".join(tail).decode(errors="replace")
    if process.returncode:
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
    return text


def jobs() -> int:
    """How many compilers may run at once."""
    return len(os.sched_getaffinity(0))


def fragments(series: str) -> list[Path]:
    """The configuration fragments that a small kernel is made of, in order."""
    own = CONFIGS / f"{series}.config"
    common = [p for p in sorted(CONFIGS.glob("*.config")) if not p.stem[0].isdigit()]
    return common + ([own] if own.exists() else [])


def configure(tree: Path, parts: list[Path]) -> None:
    """Merge the fragments onto tinyconfig, and check that each option took."""
    run_make(tree, "-s", "tinyconfig")
    merge = ["scripts/kconfig/merge_config.sh", "-m", ".config", *map(str, parts)]
    subprocess.run(merge, cwd=tree, check=True, capture_output=True)
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


def _small(name: str) -> Base:
    """Our small kernel of a series, from Debian's source of it; or of KERNEL_TREE."""
    kind, _, series = name.partition("-")
    if kind == "small" and (own := os.environ.get("KERNEL_TREE")):
        return _from_tree(Path(own).resolve())
    debian = source.debian_kernel(series)
    parts = fragments(series) + ([] if kind == "small" else [VARIANTS / f"{kind}.config"])
    key = cache.digest(RECIPE, debian.package_version, compilers(), parts, UNUSED)

    def fill(tree: Path) -> None:
        archive = source.tarball(series)
        with Step(f"Unpacking Linux {debian.version}"):
            source.unpack(archive, tree, without=UNUSED)

    return _built(name, series, key, fill, f"a {kind} Linux {debian.version}", parts)


def _from_tree(own: Path) -> Base:
    """The small kernel of the user's own tree: of a copy, the tree itself is left alone."""
    version = tree_version(own)
    series = ".".join(version.split(".")[:2])
    listing = subprocess.run(
        ["find", ".", "-name", ".git", "-prune", "-o", "-name", "*.[chSK]*", "-printf",
         "%P %s %T@\n", "-o", "-name", "*.rs", "-printf", "%P %s %T@\n"],
        cwd=own, capture_output=True, text=True, check=True,
    )
    files = sorted(line for line in listing.stdout.splitlines() if ".cmd" not in line)
    parts = fragments(series)
    key = cache.digest(RECIPE, str(own), files, compilers(), parts)
    skip = ("--exclude=.git", "--exclude=*.o", "--exclude=*.cmd", "--exclude=*.ko",
            "--exclude=/vmlinux*", "--exclude=/.config*")

    def fill(tree: Path) -> None:
        with Step(f"Copying {own}"):
            subprocess.run(["rsync", "-a", *skip, f"{own}/", f"{tree}/"], check=True)

    return _built("tree", series, key, fill, f"a small Linux {version} of {own}", parts)


def _built(name: str, series: str, key: str, fill: Callable[[Path], None], what: str,
           parts: list[Path]) -> Base:
    """Fill a tree once, then configure and build it.

    An interrupted fill is done again from nothing, an interrupted build goes on.
    """

    def build(folder: Path) -> None:
        tree, filled = folder / "tree", folder / "filled"
        if not filled.exists():
            if tree.exists():
                shutil.rmtree(tree)
            tree.mkdir()
            fill(tree)
            filled.touch()
        configure(tree, parts)
        with Step(f"Building {what}", ESTIMATE) as step:
            run_make(tree, "bzImage", "modules", step=step)

    tree = cache.entry("kernels", key, build, resume=True, what=what) / "tree"
    release = (tree / "include/config/kernel.release").read_text(encoding="ascii").strip()
    return Base(name, series, release, tree / "arch/x86/boot/bzImage", tree, key)


def tree_version(tree: Path) -> str:
    """The version that a kernel tree's Makefile states."""
    try:
        text = (tree / "Makefile").read_text(encoding="utf-8")
    except OSError as error:
        raise LabError(
            f"{tree} is not a kernel source tree: {error}",
            "Name the top folder of one, where its Makefile is.",
        ) from error
    number = [re.search(rf"^{name} = *(\S*)$", text, re.M)
              for name in ("VERSION", "PATCHLEVEL", "SUBLEVEL", "EXTRAVERSION")]
    if not all(number):
        raise LabError(
            f"{tree}/Makefile states no kernel version, so {tree} is not a kernel source tree",
            "Name the top folder of one, where its Makefile is.",
        )
    return "{}.{}.{}{}".format(*(match[1] for match in number if match))
