# SPDX-License-Identifier: GPL-2.0
"""KVM's modules: a kernel's own, or built against its headers from sources of its version.

No kernel is built for that. The sources lie in a small tree of their own, which has
KVM's two folders and whatever a patch touches, headers among it; all other headers
are the kernel's.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vmxlab import REPO, cache, kernel, series, source
from vmxlab.errors import LabError
from vmxlab.progress import Step
from vmxlab.series import tree as patching

NAMES = ("kvm", "kvm-intel", "kvm-amd")
# A change to how modules are built must change this, and so every key.
RECIPE = 2
# Files that are compiled for the three modules, for the progress estimate only.
ESTIMATE = 100
# What a program ends with if it was given a folder that it cannot build in or against.
UNUSABLE = 65
KVM = "arch/x86/kvm"

# Kbuild reads this file before the Makefile beside it.
KBUILD = """\
# SPDX-License-Identifier: GPL-2.0
# KVM out of the kernel's tree: its own Makefile, with this tree in the place of the
# kernel's. The headers here come first; all others are the kernel's.
here := $(abspath $(src)/../../..)
LINUXINCLUDE := -I$(here)/arch/x86/include -I$(here)/include -I$(here)/include/uapi \
	-I$(here)/arch/x86 $(LINUXINCLUDE)
kernel-tree := $(srctree)
srctree := $(here)
include $(src)/Makefile
srctree := $(kernel-tree)
"""
# Kconfig is not asked out of tree.
SWITCH = """\
CONFIG_KVM_EXIT_STATS := y
CONFIG_KVM_EXIT_STATS_COURSE := y
ccflags-y += -DCONFIG_KVM_EXIT_STATS=1 -DCONFIG_KVM_EXIT_STATS_COURSE=1
"""


@dataclass(frozen=True)
class KvmSet:
    """KVM's modules, and those that they need, in the order in which they load."""

    name: str
    modules: list[Path]
    key: str


def headers_version(headers: Path) -> str:
    """Linux's own version (6.12.117) of a headers package or a built tree."""
    path = headers / "include/generated/uapi/linux/version.h"
    try:
        text = path.read_text(encoding="ascii")
    except OSError as error:
        raise LabError(
            f"{headers} is neither a kernel's headers nor a built tree: {path} cannot be read "
            f"({error.strerror})",
            "Install the headers of the kernel (linux-headers-$(uname -r)), or name the tree in "
            "which it was built.", UNUSABLE) from error
    numbers = [re.search(rf"LINUX_VERSION_{name} (\d+)", text)
               for name in ("MAJOR", "PATCHLEVEL", "SUBLEVEL")]
    return ".".join(match[1] for match in numbers if match)


def configured(headers: Path, *options: str) -> None:
    """Raise unless the kernel has all of these options, such as `KVM=m`."""
    text = (headers / "include/config/auto.conf").read_text(encoding="utf-8")
    for option in options:
        if f"CONFIG_{option}" not in text.splitlines():
            raise LabError(f"the kernel of {headers} was built without CONFIG_{option}",
                           "KVM's modules can be swapped on a kernel that gcc compiled and that "
                           "has KVM as modules; `make demo` shows one.", UNUSABLE)


def _touched(patches: Iterable[Path]) -> list[str]:
    return sorted({name for path in patches
                   for name in series.touched(path.read_text(encoding="utf-8"))})


def course_patch(number: str) -> Path:
    """The patch of the course's method for a series, which may not exist."""
    return REPO / f"tests/bench/course-{number}.patch"


def _patches(variant: str, version: str) -> list[Path]:
    """The patches of a variant: "stock" has none, and a path is a patch or a folder of them."""
    number = ".".join(version.split(".")[:2])
    if variant == "stock":
        return []
    if variant == "patched":
        return series.choose(number, "the kernel")
    path = course_patch(number) if variant == "course" else Path(variant)
    found = sorted(path.glob("*.patch")) if path.is_dir() else [path]
    if not found or not found[0].is_file():
        raise LabError(f"there is no set {variant!r} for Linux {number} ({path} has no patch)",
                       "There are stock, patched and, for 6.12, course; or name a patch or a "
                       "folder of patches.")
    return found


def prepare(sources: Path, variant: str, out: Path) -> str:
    """Make the small tree in `out`, from a source tree or a tarball; return its version."""
    if out.exists():
        shutil.rmtree(out)
    if sources.is_dir():
        version = kernel.tree_version(sources)
        wanted = ["Makefile", *_touched(_patches(variant, version)),
                  *(file.place for file in series.new_files())]
        skip = shutil.ignore_patterns("*.o", "*.ko", "*.mod*", ".*.cmd", "*.rmeta", "*.a",
                                      "modules.order", "Kbuild", "kvm-asm-offsets.[hs]")
        for folder in (KVM, "virt/kvm", patching.NOTE):
            if (sources / folder).is_dir():
                shutil.copytree(sources / folder, out / folder, ignore=skip)
        for name in wanted:
            if (sources / name).exists():
                (out / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(sources / name, out / name)
    else:
        # The version, and so what the patches touch, is in the archive.
        source.unpack(sources, out, "Makefile", first=True)
        version = kernel.tree_version(out)
        source.unpack(sources, out, "Makefile", KVM, "virt/kvm", *(
            name for name in _touched(_patches(variant, version))
            if not name.startswith((f"{KVM}/", "virt/kvm/"))))
    patches = _patches(variant, version)
    if variant == "patched":
        if not patching.has_series(out) or patching.Note(out).there:
            patching.apply(out)
    else:
        for path in patches:
            patching.apply_patch(out, path)
    switch = SWITCH if patching.has_series(out) else ""
    (out / KVM / "Kbuild").write_text(KBUILD.replace("kernel-tree", f"{switch}kernel-tree", 1),
                                      encoding="ascii")
    return version


def build(headers: Path, sources: Path, variant: str, out: Path, *words: str) -> list[Path]:
    """Build kvm.ko, kvm-intel.ko and kvm-amd.ko against headers, from sources of their version.

    `headers` is a headers package's folder or a built tree, `sources` a source tree or
    a tarball, `variant` "stock", "patched" (with our series), "course", or a path of
    patches; `words` go to make. The modules are put into `out`, without debug
    information; what they were built from is `out`/linux. Raises LabError.
    """
    wanted = headers_version(headers)
    configured(headers, "KVM=m", "CC_IS_GCC=y")
    top = (out / "linux").resolve()
    version = prepare(sources, variant, top)
    if version != wanted:
        raise LabError(
            f"the headers {headers} are of Linux {wanted}, but the sources {sources} of {version}",
            f"KVM compiles only against headers of its own version: name sources of {wanted}.",
            UNUSABLE)
    with Step(f"Building KVM ({variant}) for Linux {version}", ESTIMATE) as step:
        said = kernel.run_make(headers, f"M={top / KVM}", *words, "modules", step=step)
    (out / "make.log").write_text(said, encoding="utf-8")
    modules = []
    for name in NAMES:
        built = top / KVM / f"{name}.ko"
        if built.exists():
            modules.append(out / built.name)
            subprocess.run(["strip", "--strip-debug", "-o", modules[-1], built], check=True)
    return modules


def depends(module: Path) -> list[str]:
    """The names of the modules that a module needs."""
    said = subprocess.run(["modinfo", "-F", "depends", module], capture_output=True, text=True,
                          check=True).stdout.strip()
    return [name.replace("-", "_") for name in said.split(",") if name]


def module_name(path: Path) -> str:
    """The name of a module that lies in a file, compressed or not."""
    return path.name.split(".ko")[0].replace("-", "_")


def in_order(modules: Iterable[Path]) -> list[Path]:
    """The modules, each after those that it needs."""
    there = {module_name(path): path for path in modules}
    order: list[Path] = []

    def add(name: str) -> None:
        if name in there and there[name] not in order:
            for needed in depends(there[name]):
                add(needed)
            order.append(there[name])

    for name in sorted(there):
        add(name)
    return order


def own_modules(of: kernel.Base, *names: str) -> list[Path]:
    """Those of the named modules that a base has, and those that they need, in no order."""
    installed = Path("/lib/modules", of.version, "kernel")
    folder = of.headers if (of.headers / KVM / "x86.c").exists() else installed
    there = {module_name(path): path for path in folder.rglob("*.ko*")
             if re.search(r"\.ko(\.[a-z0-9]+)?$", path.name)}
    wanted, todo = [], [name.replace("-", "_") for name in names]
    while todo:
        name = todo.pop()
        if name in there and there[name] not in wanted:
            wanted.append(there[name])
            todo += depends(there[name])
    return wanted


def stock(of: kernel.Base) -> list[Path]:
    """A base's own KVM modules and those that they need, in the order in which they load."""
    wanted = own_modules(of, *NAMES)
    if not wanted:
        raise LabError(f"the kernel {of.version} has no KVM modules",
                       "Name a base whose kernel has KVM as modules.")

    def unpack(to: Path) -> None:
        for path in wanted:
            plain = to / f"{path.name.split('.ko')[0]}.ko"
            tool = {".xz": "xz", ".zst": "zstd", ".gz": "gzip"}.get(path.suffix)
            if tool:
                with plain.open("wb") as output:
                    subprocess.run([tool, "-dc", path], stdout=output, check=True)
                subprocess.run(["strip", "--strip-debug", plain], check=True)
            else:
                subprocess.run(["strip", "--strip-debug", "-o", plain, path], check=True)

    key = cache.digest(RECIPE, of.key)
    return in_order(cache.entry("kvm-stock", key, unpack, what=f"KVM of {of.version}").glob("*.ko"))


def built(of: kernel.Base, variant: str) -> list[Path]:
    """A base's KVM modules of a variant, built once, and those of the base that they need."""
    inputs = _patches(variant, headers_version(of.headers))
    if variant == "patched":
        inputs = series.inputs(of.series)

    def make(folder: Path) -> None:
        sources = of.headers if of.name == "tree" else source.tarball(of.series)
        build(of.headers, sources, variant, folder)
        shutil.rmtree(folder / "linux")

    key = cache.digest(RECIPE, of.key, inputs, kernel.compilers())
    return completed(of, cache.entry("kvm", key, make, what=f"KVM ({variant}) for {of.version}"))


def completed(of: kernel.Base, folder: Path) -> list[Path]:
    """The modules of a folder, and those of the base that they need, in the order to load."""
    ours = list(folder.glob("*.ko"))
    names = {path.name for path in ours}
    return in_order([*ours, *(path for path in stock(of) if path.name not in names)])


def modules(of: kernel.Base, name: str) -> KvmSet:
    """KVM's modules for a base: "stock", "patched", "course", or a folder that holds them."""
    if name == "stock":
        found = stock(of)
    elif "/" in name or Path(name).is_dir():
        found = completed(of, Path(name))
    else:
        found = built(of, name)
    return KvmSet(name, found, cache.digest(found))
