# SPDX-License-Identifier: GPL-2.0
"""Boot media: the initramfs of L1 and of L2, and the ISO that Bochs boots."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from . import cache
from .errors import LabError
from .kernel import Kernel
from .toolchain import REPO

FILES = REPO / "scripts/lab-files"
QEMU = Path("/usr/bin/qemu-system-x86_64")
# QEMU's microvm boots by qboot alone; the others serve -M microvm,x-option-roms=on. Which
# of two files is its default differs by QEMU's version and by distribution: `guest` names it.
FIRMWARE = ("pvh.bin", "linuxboot_dma.bin", "kvmvapic.bin")
QBOOT = Path("/usr/share/qemu/qboot.rom")
MINIMAL_GRUB = """\
set timeout=0
set default=0
terminal_input console
terminal_output console
menuentry lab {
    linux /bzImage %s
    initrd %s
}
"""


def need(path: str | Path) -> Path:
    """A file that a package must have brought."""
    found = Path(shutil.which(str(path)) or path)
    if not found.exists():
        raise LabError(f"{path} is not on this machine", "`make setup` installs it.")
    return found


def libraries(program: Path) -> list[Path]:
    """The shared libraries that ldd lists, the loader included."""
    done = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    found = []
    for line in done.stdout.splitlines():
        if "not found" in line:
            raise LabError(f"{program} lacks a library: {line.strip()}", "`make setup` repairs it.")
        words = line.split()
        path = words[2] if "=>" in words else words[0]
        if path.startswith("/"):
            found.append(Path(path))
    return found


def install(stage: Path, source: Path, target: str = "") -> None:
    """Put a file, and the libraries that it needs, into a staged file system."""
    place = stage / (target or str(source)).lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, place, dirs_exist_ok=True)
        return
    shutil.copy2(source, place)
    with open(source, "rb") as file:
        elf = file.read(4) == b"\x7fELF"
    if elf and source.suffix != ".ko":
        for library in libraries(source):
            there = stage / str(library).lstrip("/")
            if not there.exists():
                there.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(library, there)


def skeleton(stage: Path, init: str) -> None:
    """What both systems have: busybox, an init, and the folders it mounts on."""
    for name in ("bin", "sbin", "usr/bin", "usr/sbin", "proc", "sys", "dev", "tmp", "run", "root",
                 "etc", "lab"):
        (stage / name).mkdir(parents=True, exist_ok=True)
    install(stage, need("busybox"), "bin/busybox")
    (stage / "bin/sh").symlink_to("busybox")
    install(stage, FILES / init, "init")
    (stage / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n", encoding="ascii")
    (stage / "etc/group").write_text("root:x:0:\n", encoding="ascii")


def pack(stage: Path, archive: Path, compress: bool = False) -> None:
    """Write a folder as a cpio archive, as the kernel unpacks it; owner root."""
    command = "find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet --reproducible"
    if compress:
        command += " | lz4 -l -9 -c -q"
    with open(archive, "wb") as out:
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command], cwd=stage, stdout=out,
            stderr=subprocess.PIPE, text=True, check=False,
        )
    if done.returncode:
        raise LabError(f"{archive} was not written: {done.stderr.strip()}",
                       "Check the free space with df.")


def l2_base() -> Path:
    """The nested guest's initramfs, without what a run adds."""
    inputs = [FILES / "l2-init", need("busybox").resolve(), need("cpuid").resolve()]

    def build(folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder) as top:
            stage = Path(top)
            skeleton(stage, "l2-init")
            install(stage, need("cpuid"), "usr/bin/cpuid")
            pack(stage, folder / "l2.cpio")

    return cache.entry("images", cache.digest("l2", 1, inputs), build,
                       what="initramfs of L2") / "l2.cpio"


def l1_base(kernel: Kernel, guest: bool) -> Path:
    """L1's initramfs without what a run adds; QEMU and L2 only if a guest is wanted."""
    l2 = l2_base()
    inputs = [FILES, need("busybox").resolve(), need(QEMU).resolve(), need(QBOOT), l2]

    def build(folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder) as top:
            stage = Path(top)
            skeleton(stage, "l1-init")
            # busybox's insmod tries a module twice if it is refused once.
            install(stage, need("kmod").resolve(), "usr/bin/kmod")
            for name in ("insmod", "rmmod", "lsmod"):
                (stage / "usr/sbin" / name).symlink_to("../bin/kmod")
            for module in kernel.modules():
                install(stage, module, f"lab/modules/{module.name}")
            install(stage, FILES / "load-kvm", "lab/load-kvm")
            if guest:
                install(stage, FILES / "guest", "lab/guest")
                install(stage, need(QEMU))
                install(stage, QBOOT)
                for name in FIRMWARE:
                    if (path := QBOOT.with_name(name)).exists():
                        install(stage, path.resolve(), str(path).lstrip("/"))
                install(stage, kernel.image, "lab/bzImage")
                install(stage, l2, "lab/l2.cpio")
            pack(stage, folder / "l1.cpio.lz4", compress=True)

    key = cache.digest("l1", 3, kernel.key, guest, inputs)
    return cache.entry("images", key, build, what=f"initramfs of L1, Linux {kernel.version}"
                       f"{', with the guest' if guest else ''}") / "l1.cpio.lz4"


def overlay(stage: Path, archive: Path, added: list[tuple[Path, str]]) -> None:
    """The second initramfs of a run: its scripts, parameters and files."""
    for file, target in added:
        if not file.exists():
            raise LabError(f"{file} does not exist", "Check the path given to --add or to a script.")
        install(stage, file, target or f"lab/{file.name}")
    pack(stage, archive)


def iso(folder: Path, kernel: Kernel, initrds: list[Path], append: str) -> Path:
    """An ISO that boots by BIOS; GRUB loads the kernel and hands over the archives."""
    stage = folder / "iso"
    (stage / "boot/grub").mkdir(parents=True)
    names = []
    for number, path in enumerate([kernel.image, *initrds]):
        name = "bzImage" if number == 0 else f"initrd{number}"
        shutil.copyfile(path, stage / name)
        names += [f"/{name}"] if number else []
    config = MINIMAL_GRUB % (append, " ".join(names))
    (stage / "boot/grub/grub.cfg").write_text(config, encoding="ascii")
    image = folder / "boot.iso"
    command = [need("grub-mkrescue"), "-d", "/usr/lib/grub/i386-pc", "-o", image,
               "--compress=no", "--locales=", "--themes=", "--fonts=",
               "--install-modules=normal linux iso9660 biosdisk",
               stage]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not image.exists():
        raise LabError(f"grub-mkrescue failed: {done.stderr.strip()[-400:]}",
                       "`make setup` installs grub-pc-bin, xorriso and mtools.")
    shutil.rmtree(stage)
    return image
