# SPDX-License-Identifier: GPL-2.0
"""vmx_caps.ko and vmx_exits.ko, built out of tree against a kernel of the lab."""

from __future__ import annotations

import shutil
from pathlib import Path

from vmxlab import REPO, cache, source
from vmxlab.kernel import UNUSED, Base, compilers, run_make
from vmxlab.progress import Step

# Files that `make prepare` compiles where Rust is on, for the progress estimate only.
ESTIMATE = 200


def sources() -> list[Path]:
    """What the modules are built from."""
    suffixes = (".rs", ".c", ".h", ".S", ".mk")
    ours = REPO / "kvm-instrumentation"
    folders = (REPO / "src", ours / "src", ours / "attach")
    files = (path for top in folders for path in top.rglob("*") if path.suffix in suffixes)
    return [REPO / "Kbuild", *sorted(ours.glob("*.h")),
            *sorted(path for path in files if "tests" not in path.parts)]


def prebuilt() -> list[Path]:
    """The objects of the modules' Rust, compiled once for all kernels."""

    def build(folder: Path) -> None:
        with Step("Compiling the modules' Rust"):
            run_make(REPO, "-f", "src/core.mk", f"OUT={folder}")
        for path in folder.iterdir():
            if path.suffix != ".prebuilt":
                path.unlink()

    rust = [path for path in sources() if path.suffix in (".rs", ".mk")]
    folder = cache.entry("prebuilt", cache.digest(compilers(), rust), build,
                         what="the modules' Rust")
    return sorted(folder.glob("*.prebuilt"))


def options(headers: Path) -> dict[str, str]:
    """The configuration of a kernel, by the names of the options without CONFIG_."""
    text = (headers / "include/config/auto.conf").read_text(encoding="utf-8")
    pairs = (line.partition("=") for line in text.splitlines() if line.startswith("CONFIG_"))
    return {name.removeprefix("CONFIG_"): value for name, _, value in pairs}


def rust_headers(base: Base) -> Path:
    """The headers of a Debian kernel with CONFIG_RUST=y, and what its package lacks of them.

    That is the metadata of the kernel crate, which only this rustc can read. It is made
    from the source of that kernel as its own build made it, in a few minutes, and put
    beside links to the package's files, into a folder that modules can be built against.
    """

    def build(folder: Path) -> None:
        tree = folder / "linux"
        archive = source.tarball(base.series)
        with Step(f"Unpacking Linux {base.version}"):
            source.unpack(archive, tree, without=UNUSED)
        for name in (".config", "Module.symvers"):
            shutil.copyfile(base.headers / name, tree / name)
        words = (f"CC={options(base.headers)['CC_VERSION_TEXT'].split()[0]}",
                 f"KERNELRELEASE={base.version}")
        run_make(tree, *words, "olddefconfig")
        with Step(f"Preparing Rust for Linux {base.version}", ESTIMATE) as step:
            run_make(tree, *words, "prepare", step=step)
        for name in ("rust", "scripts"):
            (folder / name).mkdir()
        for path in (tree / "scripts/target.json", *tree.glob("rust/*.rmeta"),
                     *tree.glob("rust/*.so")):
            shutil.copy2(path, folder / path.relative_to(tree))
        shutil.rmtree(tree)
        for path in (*base.headers.iterdir(), *(base.headers / "scripts").iterdir()):
            link = folder / path.relative_to(base.headers)
            if link.name == "Makefile" and link.parent == folder:
                text = path.read_text(encoding="utf-8")
                link.write_text(text.replace(str(base.headers), str(folder)), encoding="utf-8")
            elif not link.exists():
                link.symlink_to(path)

    key = cache.digest(base.key, compilers())
    return cache.entry("rust-headers", key, build, what=f"Rust's metadata of Linux {base.version}")


def modules(base: Base, kernel_crate: bool = True) -> list[Path]:
    """vmx_caps.ko and vmx_exits.ko for a kernel, built once.

    vmx_caps is built with the kernel crate if the kernel has Rust, unless `kernel_crate`
    is false; all else of Rust from core alone.
    """
    crate = kernel_crate and options(base.headers).get("RUST") == "y"
    key = cache.digest(base.key, crate, compilers(), sources())

    def build(folder: Path) -> None:
        packaged = crate and not (base.headers / "rust/libkernel.rmeta").exists()
        headers = rust_headers(base) if packaged else base.headers
        for path in sources():
            target = folder / path.relative_to(REPO)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
        (folder / "target/prebuilt").mkdir(parents=True)
        for path in prebuilt():
            shutil.copy2(path, folder / "target/prebuilt")
        with Step(f"Building the modules for Linux {base.version}"):
            run_make(headers, f"M={folder}", "modules")

    folder = cache.entry("modules", key, build, what=f"the modules for Linux {base.version}")
    return [folder / "vmx_caps.ko", folder / "vmx_exits.ko"]
