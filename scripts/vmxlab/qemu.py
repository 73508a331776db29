# SPDX-License-Identifier: GPL-2.0
"""L1's machine by QEMU/KVM, where the host really has nested VT-x."""

import os
import subprocess
from pathlib import Path

from .errors import LabError
from .process import tied

PROGRAM = "qemu-system-x86_64"


def missing() -> str:
    """Why QEMU/KVM cannot give L1 a VT-x of its own here; empty if it can."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii").split()
    except OSError as error:
        return f"/proc/cpuinfo cannot be read: {error.strerror}"
    if "vmx" not in flags:
        return "/proc/cpuinfo has no flag vmx: this CPU, or the hypervisor above, has no VT-x"
    nested = Path("/sys/module/kvm_intel/parameters/nested")
    if not nested.exists():
        return "the module kvm_intel is not loaded"
    if nested.read_text(encoding="ascii").strip() not in ("Y", "1"):
        return f"{nested} is not Y: load kvm_intel with nested=1"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "/dev/kvm cannot be opened by this user"
    return ""


def choose(wanted: str) -> str:
    """The accelerator of a run: "bochs" or "kvm"; `auto` takes KVM where it works."""
    why = missing()
    if wanted == "kvm" and why:
        raise LabError(f"--accel kvm does not work here: {why}",
                       "--accel bochs emulates VT-x on any machine.")
    if wanted != "auto":
        return wanted
    # BOCHS= names a Bochs, so it is wanted.
    return "bochs" if why or os.environ.get("BOCHS") else "kvm"


class Machine:
    """One run of QEMU; the same files as of a run of Bochs."""

    def __init__(self, folder: Path, kernel: Path, initrds: list[Path], append: str, model: str,
                 cpus: int, memory: int, console_tty: str = "") -> None:
        self.folder = folder
        self.console, self.control = folder / "com1", folder / "port-e9"
        initrd = folder / "initrd"
        with open(initrd, "wb") as joined:
            for path in initrds:
                joined.write(path.read_bytes())
        console = f"serial,id=con,path={console_tty}" if console_tty else \
            f"file,id=con,path={self.console}"
        self.command = [
            PROGRAM, "-M", "q35", "-accel", "kvm", "-cpu", model or "host", "-smp", str(cpus),
            "-m", str(memory), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-kernel", str(kernel), "-initrd", str(initrd), "-append", append,
            "-chardev", console, "-serial", "chardev:con",
            "-chardev", f"file,id=ctl,path={self.control}",
            "-device", "isa-debugcon,iobase=0xe9,chardev=ctl",
        ]

    def start(self) -> None:
        """Start QEMU."""
        self.log = (self.folder / "qemu.log").open("wb")
        self.process = subprocess.Popen(
            tied(*self.command), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            start_new_session=True,
        )

    def running(self) -> bool:
        """Whether the machine is still on."""
        return self.process.poll() is None

    def stop(self) -> None:
        """Switch it off."""
        if self.running():
            self.process.kill()
        self.process.wait()
        self.log.close()

    def last_words(self) -> str:
        """What QEMU said of its own end."""
        return (self.folder / "qemu.log").read_text(errors="replace")[-400:]
