# SPDX-License-Identifier: GPL-2.0
"""Boot media: the initramfs of L1 and of L2, and the ISO that Bochs boots."""

import lzma
import re
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

from . import REPO, cache, guest
from .errors import LabError
from .kernel import Base
from .kvm import KvmSet, in_order, own_modules

FILES = REPO / "scripts/lab-files"
TOOLS_ANEW = "`make clean-cache`, then `make setup` fetches the private tools anew."
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
        raise LabError(f"{path} is not on this machine", TOOLS_ANEW)
    return found


def libraries(program: Path) -> list[Path]:
    """The shared libraries that ldd lists, the loader included."""
    done = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    found = []
    for line in done.stdout.splitlines():
        if "not found" in line:
            raise LabError(f"{program} lacks a library: {line.strip()}", TOOLS_ANEW)
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
    if elf and ".ko" not in source.suffixes:
        for library in libraries(source):
            there = stage / str(library).lstrip("/")
            if not there.exists():
                there.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(library, there)


def install_module(stage: Path, source: Path, target: str) -> None:
    """Put a kernel module into a staged file system, with the symbols of its functions alone.

    For each place that ftrace may hook, the kernel searches all symbols of a module that
    it loads, so those of its data, and debugging information, are left out.
    """
    place = stage / target
    place.parent.mkdir(parents=True, exist_ok=True)
    content = source.read_bytes()
    place.write_bytes(lzma.decompress(content) if source.suffix == ".xz" else content)
    listed = _run("nm", place)
    names = re.findall(r"^[0-9a-f]+ [tTwW] (?!\.L)(\S+)$", listed, re.M)
    with tempfile.NamedTemporaryFile("w", encoding="ascii") as keep:
        keep.write("\n".join(names) + "\n")
        keep.flush()
        _run("objcopy", "--strip-unneeded", f"--keep-symbols={keep.name}", place)


def _run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"{command[0]} failed with {command[-1]}: {done.stderr.strip()[-400:]}",
                       "Check the free space with df, and that the file is what its name says.")
    return done.stdout


def vmlinux(image: Path) -> bytes:
    """The kernel that a bzImage holds, unpacked, as the nested guest boots it.

    Linux' boot protocol has the place of the packed kernel in the image's head; behind it
    stands the size that it unpacks to. An emulated CPU takes seconds to unpack it.
    """
    head = image.read_bytes()
    if head[0x202:0x206] != b"HdrS":
        raise LabError(f"{image} is no bootable Linux kernel", "Name a bzImage.")
    sectors = head[0x1f1] or 4
    offset, length = struct.unpack_from("<II", head, 0x248)
    packed = head[(sectors + 1) * 512 + offset:][:length]
    tools = {b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zX": "xz", b"\x02\x21\x4c\x18": "lz4"}
    tool = tools.get(packed[:4])
    if not tool:
        raise LabError(f"{image} is packed in a way that is not known here: {packed[:4].hex()}",
                       f"Known are {', '.join(tools.values())}.")
    done = subprocess.run([tool, "-dcq"], input=packed[:-4], capture_output=True, check=False)
    if done.returncode or len(done.stdout) != struct.unpack("<I", packed[-4:])[0]:
        raise LabError(f"the kernel in {image} cannot be unpacked: {done.stderr.decode().strip()}",
                       "The image is damaged: build or fetch it again.")
    return done.stdout


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


def l2_base(base: Base) -> Path:
    """The nested guest's initramfs, without what a run adds."""
    # What of the console's drivers the kernel does not have built in.
    drivers = in_order(own_modules(base, "virtio_mmio", "virtio_console"))
    inputs = [FILES / "l2-init", need("busybox").resolve(), need("cpuid").resolve(), *drivers]

    def build(folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder) as top:
            stage = Path(top)
            skeleton(stage, "l2-init")
            install(stage, need("cpuid"), "usr/bin/cpuid")
            for number, module in enumerate(drivers):
                install_module(stage, module, f"lab/drivers/{number}.ko")
            pack(stage, folder / "l2.cpio")

    return cache.entry("images", cache.digest("l2", 2, inputs), build,
                       what="initramfs of L2") / "l2.cpio"


def l1_base(base: Base, kvm: KvmSet, with_guest: bool) -> Path:
    """L1's initramfs without what a run adds; QEMU and L2 only if a guest is wanted."""
    l2 = l2_base(base)
    inputs = [FILES, need("busybox").resolve(), need(QEMU).resolve(), need(QBOOT), l2]

    def build(folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder) as top:
            stage = Path(top)
            skeleton(stage, "l1-init")
            # busybox's insmod tries a module twice if it is refused once.
            install(stage, need("kmod").resolve(), "usr/bin/kmod")
            for name in ("insmod", "rmmod", "lsmod", "modinfo"):
                (stage / "usr/sbin" / name).symlink_to("../bin/kmod")
            for module in kvm.modules:
                name = module.name.removesuffix(".xz")
                install_module(stage, module, f"lab/modules/{name}")
            install(stage, FILES / "load-kvm", "lab/load-kvm")
            install(stage, FILES / "stopped", "lab/stopped")
            install(stage, guest.build_c(FILES / "tohost.c", folder), "lab/tohost")
            if with_guest:
                install(stage, FILES / "guest", "lab/guest")
                install(stage, need(QEMU))
                install(stage, QBOOT)
                for name in FIRMWARE:
                    if (path := QBOOT.with_name(name)).exists():
                        install(stage, path.resolve(), str(path).lstrip("/"))
                (stage / "lab/vmlinux").write_bytes(vmlinux(base.image))
                install(stage, l2, "lab/l2.cpio")
            pack(stage, folder / "l1.cpio.lz4", compress=True)

    key = cache.digest("l1", 5, base.key, kvm.key, with_guest, inputs)
    return cache.entry("images", key, build, what=f"initramfs of L1, Linux {base.version}, "
                       f"KVM {kvm.name}{', with the guest' if with_guest else ''}") / "l1.cpio.lz4"


def overlay(stage: Path, archive: Path, added: list[tuple[Path, str]]) -> None:
    """The second initramfs of a run: its scripts, parameters and files."""
    for file, target in added:
        if not file.exists():
            raise LabError(f"{file} does not exist",
                           "Check the path given to --add or to a script.")
        install(stage, file, target or f"lab/{file.name}")
    pack(stage, archive)


def iso(folder: Path, kernel: Path, initrds: list[Path], append: str) -> Path:
    """An ISO that boots by BIOS; GRUB loads the kernel and hands over the archives."""
    stage = folder / "iso"
    (stage / "boot/grub").mkdir(parents=True)
    names = []
    for number, path in enumerate([kernel, *initrds]):
        name = "bzImage" if number == 0 else f"initrd{number}"
        shutil.copyfile(path, stage / name)
        names += [f"/{name}"] if number else []
    config = MINIMAL_GRUB % (append, " ".join(names))
    (stage / "boot/grub/grub.cfg").write_text(config, encoding="ascii")
    image = folder / "boot.iso"
    command: list[str | Path] = [need("grub-mkrescue"), "-d", "/usr/lib/grub/i386-pc", "-o", image,
               "--compress=no", "--locales=", "--themes=", "--fonts=",
               "--install-modules=normal linux iso9660 biosdisk",
               stage]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not image.exists():
        raise LabError(f"grub-mkrescue failed: {done.stderr.strip()[-400:]}",
                       "Check the free space with df.")
    shutil.rmtree(stage)
    return image
