# SPDX-License-Identifier: GPL-2.0
"""One run of the lab: image, machine, consoles, and the status of the script."""

import base64
import binascii
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time
import tty
from dataclasses import dataclass, field
from pathlib import Path

from . import bochs, cache, image, kernel, module, qemu
from .errors import LabError


@dataclass
class Options:
    """What a run is asked for; scripts/lab --help says what each means."""

    series: str = "6.12"
    stock: bool = False
    tree: Path | None = None
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


class Follower:
    """Reads what is appended to a file."""

    def __init__(self, path: Path) -> None:
        self.path, self.at = path, 0

    def read(self) -> bytes:
        """All that came since the last call."""
        try:
            with open(self.path, "rb") as file:
                file.seek(self.at)
                data = file.read()
        except FileNotFoundError:
            return b""
        self.at += len(data)
        return data


class Control:
    """The control channel of L1: lines of "l2 TEXT", "out BASE64", "exit N"."""

    def __init__(self, path: Path, l2: Path, echo: bool) -> None:
        self.follower, self.rest = Follower(path), b""
        self.l2, self.echo = open(l2, "ab"), echo
        self.archive: list[bytes] = []
        self.status: int | None = None

    def poll(self) -> None:
        """Take in what has come."""
        *lines, self.rest = (self.rest + self.follower.read()).split(b"\n")
        for line in lines:
            kind, _, text = line.rstrip(b"\r").partition(b" ")
            if kind == b"l2":
                self.l2.write(text + b"\n")
                self.l2.flush()
                if self.echo:
                    _emit(b"[l2] " + text + b"\n")
            elif kind == b"out":
                self.archive.append(text)
            elif kind == b"exit" and text.isdigit():
                self.status = int(text)

    def unpack(self, folder: Path) -> None:
        """Write what L1 left in its /out to `folder`."""
        self.l2.close()
        if not self.archive:
            return
        try:
            data = base64.b64decode(b"".join(self.archive), validate=True)
            folder.mkdir(exist_ok=True)
            subprocess.run(["tar", "xz", "--no-same-owner", "-C", folder], input=data, check=True,
                           capture_output=True)
            # The guests' whole consoles; what was shown so far is their beginning.
            for console in (folder / ".consoles").glob("*"):
                console.rename(folder.parent / console.name)
            shutil.rmtree(folder / ".consoles", ignore_errors=True)
        except (binascii.Error, subprocess.CalledProcessError) as error:
            raise LabError(
                f"what L1 left in /out did not arrive whole: {error}",
                f"{folder.parent}/control has it as it came.",
            ) from error


def _emit(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def run(options: Options) -> Result:
    """Build what is missing, run the machine, and wait for its script."""
    start = time.monotonic()
    with cache.lock(cache.root() / ".in-use", shared=True):
        patched = not options.stock and kernel.has_series(options.series)
        linux = kernel.get(options.series, patched, options.tree)
        out = options.out or Path(tempfile.mkdtemp(prefix="vmxscope-lab-"))
        out.mkdir(parents=True, exist_ok=True)
        for old in ("l1.console", "l2.console", "control"):
            (out / old).unlink(missing_ok=True)
        shutil.rmtree(out / "out", ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix="vmxscope-run-") as scratch:
            initrds = _initrds(options, linux, Path(scratch))
            status = _boot(options, linux, initrds, Path(scratch), out)
    return Result(status, out, time.monotonic() - start)


def wants_guest(options: Options) -> bool:
    """Whether L1 is to have QEMU and the nested guest's image."""
    if options.shell or options.l2:
        return True
    return bool(options.l1 and "guest" in options.l1.read_text(errors="replace").split())


def _initrds(options: Options, linux: kernel.Kernel, scratch: Path) -> list[Path]:
    texts = {
        "kvm-params": options.kvm,
        "kvm-intel-params": options.kvm_intel,
        "guest-cpus": str(options.guest_cpus),
    }
    if options.shell:
        texts |= {"interactive": "", "banner": BANNER.format(version=linux.version)}
    elif not options.l1:
        texts["l1"] = "exec guest\n"
    added = [*options.add, (module.vmx_caps(linux), "lab/modules/vmx_caps.ko")]
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
        image.overlay(Path(top), scratch / "l1-added.cpio", added)
    # The uncompressed archive comes first: behind a compressed one the kernel
    # would take the padding between them for more compressed data.
    return [scratch / "l1-added.cpio", image.l1_base(linux, wants_guest(options))]


BANNER = """\
This is L1, Linux {version}. In PATH: load-kvm, guest (--help), and the modules
are in /lab/modules. What you put into /out is kept; `exit` ends the machine.
"""


def _boot(options: Options, linux: kernel.Kernel, initrds: list[Path], scratch: Path,
          out: Path) -> int:
    append = "console=ttyS0,115200 panic=-1 reboot=t"
    append += " loglevel=4" if "loglevel" not in options.append else ""
    append += f" {options.append}" if options.append else ""
    accel = qemu.choose(options.accel)
    tty_name, master = "", -1
    if options.shell:
        master, slave = os.openpty()
        tty_name = os.ttyname(slave)
    if accel == "kvm":
        machine: bochs.Machine | qemu.Machine = qemu.Machine(
            scratch, linux.image, initrds, append, options.cpu, options.cpus, options.memory,
            tty_name)
    else:
        # Bochs' MWAIT misses a store of another CPU now and then, so a CPU that is
        # woken by one sleeps on: idle CPUs have to use HLT, which an IPI ends.
        append += " idle=nomwait"
        media = image.iso(scratch, linux, initrds, append)
        machine = bochs.Machine(scratch, media, options.cpu or bochs.DEFAULT_CPU, options.cpus,
                                options.memory, tty_name)
    machine.start()
    try:
        if options.shell:
            return _interact(machine, master, Control(machine.control, out / "l2.console", False),
                             out)
        return _watch(options, machine, out)
    finally:
        machine.stop()
        if machine.control.exists():
            (out / "control").write_bytes(machine.control.read_bytes())


def _watch(options: Options, machine: "bochs.Machine | qemu.Machine", out: Path) -> int:
    console = Follower(machine.console)
    control = Control(machine.control, out / "l2.console", not options.quiet)
    deadline = time.monotonic() + options.timeout
    with open(out / "l1.console", "wb") as saved:

        def take() -> None:
            data = console.read()
            # A serial line ends its lines with CR LF.
            saved.write(data.replace(b"\r\n", b"\n"))
            if data and not options.quiet:
                _emit(data)
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
    control.unpack(out / "out")
    return control.status


def _interact(machine: "bochs.Machine | qemu.Machine", master: int, control: Control,
              out: Path) -> int:
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
                _emit(os.read(master, 65536))
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
    control.unpack(out / "out")
    if control.status is None:
        raise LabError(f"the machine ended by itself. {machine.last_words()}",
                       "Leave the lab by `exit`.")
    return control.status


def terminate_on_signals() -> None:
    """Let SIGTERM end a run as Ctrl-C does, so that no machine is left behind."""

    def stop(number: int, _frame: object) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, stop)
