# SPDX-License-Identifier: GPL-2.0
"""One run of the lab: image, machine, consoles, and the status of the script."""

import os
import select
import shutil
import sys
import tempfile
import termios
import time
import tty
from dataclasses import dataclass, field
from pathlib import Path

from . import REPO, bochs, cache, image, kernel, kvm, module, qemu, source
from .console import Control, Follower, emit
from .errors import LabError


@dataclass
class Options:
    """What a run is asked for; scripts/lab --help says what each means."""

    base: str = ""
    kvm_modules: str = ""
    series: str = ""
    stock: bool = False
    cpu: str = ""
    cpus: int = 1
    guest_cpus: int = 1
    memory: int = 1024
    kvm_intel: str = ""
    kvm: str = ""
    append: str = ""
    add: list[tuple[Path, str]] = field(default_factory=list)
    add_guest: list[tuple[Path, str]] = field(default_factory=list)
    l1: Path | None = None
    l2: Path | None = None
    timeout: float = 300
    out: Path | None = None
    accel: str = "auto"
    shell: bool = False
    quiet: bool = False


@dataclass
class Result:
    """How a run ended: the script's status, and the folder with what it left."""

    status: int
    out: Path
    seconds: float


def run(options: Options) -> Result:
    """Build what is missing, run the machine, and wait for its script."""
    start = time.monotonic()
    with cache.lock(cache.root() / ".in-use", shared=True):
        base, modules = chosen(options)
        out = options.out or Path(tempfile.mkdtemp(prefix="vmxscope-lab-"))
        out.mkdir(parents=True, exist_ok=True)
        for old in [out / "control", *out.glob("*.console")]:
            old.unlink(missing_ok=True)
        shutil.rmtree(out / "out", ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix="vmxscope-run-") as scratch:
            initrds = _initrds(options, base, modules, Path(scratch))
            status = _boot(options, base, initrds, Path(scratch), out)
    return Result(status, out, time.monotonic() - start)


def chosen(options: Options) -> tuple[kernel.Base, kvm.KvmSet]:
    """The base and the KVM modules that the options name, built or fetched if need be."""
    name = options.base
    if not name:
        series = options.series or source.DEFAULT
        name = f"small-{series}" if f"small-{series}" in kernel.names() else f"debian-{series}"
    base = kernel.base(name)
    patched = not options.stock and (REPO / "patches" / base.series).is_dir()
    return base, kvm.modules(base, options.kvm_modules or ("patched" if patched else "stock"))


def wants_guest(options: Options) -> bool:
    """Whether L1 is to have QEMU and the nested guest's image."""
    if options.shell or options.l2:
        return True
    return bool(options.l1 and "guest" in options.l1.read_text(errors="replace").split())


def _initrds(options: Options, base: kernel.Base, modules: kvm.KvmSet,
             scratch: Path) -> list[Path]:
    texts = {
        "kvm-params": options.kvm,
        "kvm-intel-params": options.kvm_intel,
        "guest-cpus": str(options.guest_cpus),
    }
    if options.shell:
        texts |= {"interactive": "", "banner": BANNER.format(version=base.version)}
    elif not options.l1:
        texts["l1"] = "exec guest\n"
    added = list(options.add)
    for name, text in texts.items():
        path = scratch / name
        path.write_text(text + "\n" if text and not text.endswith("\n") else text, "utf-8")
        added.append((path, f"lab/{name}"))
    if options.l1:
        added.append((options.l1, "lab/l1"))
    if options.l2:
        added.append((options.l2, "lab/l2"))
    if options.add_guest:
        with tempfile.TemporaryDirectory() as top:
            image.overlay(Path(top), scratch / "l2-added.cpio", options.add_guest)
        added.append((scratch / "l2-added.cpio", "lab/l2-added.cpio"))
    with tempfile.TemporaryDirectory() as top:
        for path in module.modules(base):
            image.install_module(Path(top), path, f"lab/modules/{path.name}")
        image.overlay(Path(top), scratch / "l1-added.cpio", added)
    # The uncompressed archive comes first: behind a compressed one the kernel
    # would take the padding between them for more compressed data.
    return [scratch / "l1-added.cpio", image.l1_base(base, modules, wants_guest(options))]


BANNER = """\
This is L1, Linux {version}. In PATH: load-kvm, guest (--help), and the modules
are in /lab/modules. What you put into /out is kept; `exit` ends the machine.
"""


# The emulator lacks the MSRs of machine checks. The rest spares an emulated CPU work that
# nothing here needs: a place of its own in memory for the kernel at each boot, and the
# tests of ciphers and of the jitter random number generator.
QUICK = "mce=off nokaslr cryptomgr.notests initcall_blacklist=jent_mod_init"


def _boot(options: Options, base: kernel.Base, initrds: list[Path], scratch: Path,
          out: Path) -> int:
    append = f"console=ttyS0,115200 panic=-1 reboot=t {QUICK}"
    append += " loglevel=4" if "loglevel" not in options.append else ""
    append += f" {options.append}" if options.append else ""
    accel = qemu.choose(options.accel)
    tty_name, master = "", -1
    if options.shell:
        master, slave = os.openpty()
        tty_name = os.ttyname(slave)
    if accel == "kvm":
        machine: bochs.Machine | qemu.Machine = qemu.Machine(
            scratch, base.image, initrds, append, options.cpu, options.cpus, options.memory,
            tty_name)
    else:
        # Bochs' MWAIT misses a store of another CPU now and then, so a CPU that is
        # woken by one sleeps on: idle CPUs have to use HLT, which an IPI ends.
        append += " idle=nomwait"
        media = image.iso(scratch, base.image, initrds, append)
        machine = bochs.Machine(scratch, media, options.cpu or bochs.DEFAULT_CPU, options.cpus,
                                options.memory, tty_name)
    machine.start()
    try:
        if options.shell:
            return _interact(machine, master, Control(machine.control, out, False))
        return _watch(options, machine, out)
    finally:
        machine.stop()
        if machine.control.exists():
            (out / "control").write_bytes(machine.control.read_bytes())


def _watch(options: Options, machine: "bochs.Machine | qemu.Machine", out: Path) -> int:
    console = Follower(machine.console)
    control = Control(machine.control, out, not options.quiet)
    deadline = time.monotonic() + options.timeout
    with open(out / "l1.console", "wb") as saved:

        def take() -> None:
            data = console.read()
            # A serial line ends its lines with CR LF.
            saved.write(data.replace(b"\r\n", b"\n"))
            if data and not options.quiet:
                emit(data)
            control.poll()

        while control.status is None and machine.running():
            if time.monotonic() > deadline:
                take()
                raise LabError(
                    f"the time limit of {options.timeout:g} s passed before the script ended",
                    f"--timeout raises it; {out}/l1.console has what the machine printed.",
                )
            time.sleep(0.05)
            take()
        take()
    if control.status is None:
        raise LabError(
            f"the machine ended before its script did. {machine.last_words()}",
            f"{out}/l1.console has what it printed.",
        )
    control.finish()
    return control.status


def _interact(machine: "bochs.Machine | qemu.Machine", master: int, control: Control) -> int:
    """Connect the user's terminal with the machine's console until it ends."""
    raw = sys.stdin.isatty()
    saved = termios.tcgetattr(sys.stdin) if raw else None
    if raw:
        tty.setraw(sys.stdin)
    try:
        sources = [master, sys.stdin.fileno()]
        while machine.running() and control.status is None:
            ready, _, _ = select.select(sources, [], [], 0.1)
            if master in ready:
                emit(os.read(master, 65536))
            if sys.stdin.fileno() in ready:
                data = os.read(sys.stdin.fileno(), 65536)
                if data:
                    os.write(master, data)
                else:
                    sources.remove(sys.stdin.fileno())
            control.poll()
    finally:
        if saved:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, saved)
    control.finish()
    if control.status is None:
        raise LabError(f"the machine ended by itself. {machine.last_words()}",
                       "Leave the lab by `exit`.")
    return control.status
