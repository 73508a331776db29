# SPDX-License-Identifier: GPL-2.0
"""L1's machine by emulation: Bochs, with VT-x, on any x86-64 host."""

import functools
import os
import re
import shutil
import subprocess
import termios
import threading
import time
import tty
from dataclasses import dataclass
from pathlib import Path

from .errors import LabError
from .process import tied

DEFAULT_CPU = "corei7_haswell_4770"
# Names that people use, and the Bochs model that each one means.
ALIASES = {
    "penryn": "core2_penryn_t9600",
    "lynnfield": "corei5_lynnfield_750",
    "arrandale": "corei5_arrandale_m520",
    "sandybridge": "corei7_sandy_bridge_2600k",
    "ivybridge": "corei7_ivy_bridge_3770k",
    "haswell": DEFAULT_CPU,
    "broadwell": "broadwell_ult",
    "skylake": "corei7_skylake_x",
    "cannonlake": "corei3_cnl",
    "icelake": "corei7_icelake_u",
    "sapphirerapids": "sapphire_rapids",
    "arrowlake": "arrow_lake",
}
# MSRs that Linux takes for granted and Bochs lacks: IA32_MISC_ENABLE, and
# IA32_DEBUGCTL, which KVM reads before each entry of a guest. With them every
# other absent MSR may fault, as it does on hardware (Bochs' msrs file: index,
# type, reset value, reserved and ignored bits).
MSRS = """\
0x1a0 0 00000000 00000001 00000000 00000000 00000000 00000000
0x1d9 0 00000000 00000000 00000000 00000000 00000000 00000000
"""
# Emulated instructions a second of emulated time. This sets how much work fits
# between two timer ticks, not how fast Bochs runs.
IPS = 50_000_000

CONFIG = """\
config_interface: textconfig
display_library: term
romimage: file={bios}
vgaromimage: file={vgabios}
cpu: model={model}, count={cpus}, ips={ips}, reset_on_triple_fault=0
cpu: ignore_bad_msrs=0, msrs="{folder}/msrs"
memory: guest={memory}, host={memory}
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path="{iso}", status=inserted
boot: cdrom
clock: sync=none
com1: enabled=1, mode={com1_mode}, dev="{com1}"
port_e9_hack: enabled=1, all_rings=1
log: {folder}/bochs.log
panic: action=fatal
error: action=report
info: action=ignore
debug: action=ignore
speaker: enabled=0
"""


@dataclass(frozen=True)
class Bochs:
    """A Bochs program: where it is, and what it was built with."""

    program: Path
    version: str
    models: tuple[str, ...]
    bios: Path
    vgabios: Path

    def model(self, name: str) -> str:
        """The model that a name or an alias means."""
        found = ALIASES.get(name.lower(), name)
        if found not in self.models:
            raise LabError(
                f"Bochs {self.version} has no CPU model {name!r}",
                f"It has: {', '.join(self.models)}; short names: {', '.join(ALIASES)}. "
                "A newer Bochs (BOCHS=) has newer ones.",
            )
        return found


@functools.cache
def find() -> Bochs:
    """The Bochs that BOCHS= names, or the one in PATH."""
    own = os.environ.get("BOCHS")
    program = shutil.which(own or "bochs")
    if not program:
        raise LabError(
            f"{own or 'bochs'} is not a program that runs here",
            "BOCHS= takes the path of a Bochs." if own else
            "`make clean-cache`, then `make setup` fetches the private tools anew.",
        )
    path = Path(program).resolve()
    done = subprocess.run([path, "--help", "cpu"], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, check=False, timeout=20)
    said = done.stdout + done.stderr
    version = re.search(r"Bochs x86 Emulator (\S+)", said)
    models = re.findall(r"^(\w+)$", said.split("Supported CPU models:")[-1], re.M)
    if not version or not models:
        raise LabError(f"{path} does not answer as a Bochs does",
                       "BOCHS= takes the path of Bochs 3.0 or newer.")
    # A Bochs of one's own has its BIOS below its own prefix.
    shares = [path.parent.parent / "share/bochs", Path("/usr/share/bochs"), path.parent]
    bios = next((b for s in shares if (b := s / "BIOS-bochs-latest").exists()), None)
    vga = [s / n for s in (*shares, Path("/usr/share/vgabios"), Path("/usr/share/seabios"))
           for n in ("VGABIOS-lgpl-latest", "VGABIOS-lgpl-latest.bin", "vgabios.bin")]
    vgabios = next((v for v in vga if v.exists()), None)
    if not bios or not vgabios:
        raise LabError(f"no BIOS for {path} was found",
                       "It is looked for beside it and in ../share/bochs.")
    return Bochs(path, version[1], tuple(models), bios, vgabios)


class Machine:
    """One run of Bochs; its console and its control channel are files in `folder`."""

    def __init__(self, folder: Path, image: Path, model: str, cpus: int, memory: int,
                 console_tty: str = "") -> None:
        self.bochs = find()
        self.folder = folder
        self.console, self.control = folder / "com1", folder / "port-e9"
        text = CONFIG.format(
            bios=self.bochs.bios, vgabios=self.bochs.vgabios,
            model=self.bochs.model(model), cpus=cpus, ips=IPS, folder=folder, memory=memory,
            iso=image, com1_mode="term" if console_tty else "file",
            com1=console_tty or self.console,
        )
        (folder / "bochsrc").write_text(text, encoding="ascii")
        (folder / "msrs").write_text(MSRS, encoding="ascii")

    def start(self) -> None:
        """Start Bochs. What the machine writes to port 0xE9 comes out of its standard output."""
        command = tied(self.bochs.program, "-q", "-f", self.folder / "bochsrc")
        env = dict(os.environ, TERM="linux", LINES="25", COLUMNS="80")
        with open(self.control, "wb") as control, open(self.folder / "said", "wb") as said:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=env, stdin=subprocess.DEVNULL, stdout=control,
                stderr=said, start_new_session=True,
            )
        threading.Thread(target=self._drain_drawing, daemon=True).start()

    def _drain_drawing(self) -> None:
        """Read what `term` draws, on a pseudo-terminal of its own making.

        Nobody else does, and its cursor blinks: after some 50 seconds of
        emulated time 20 KiB are waiting there, and the machine for a reader.
        """
        fds = Path(f"/proc/{self.process.pid}")
        while self.running():
            time.sleep(0.2)
            try:
                made = [fd.name for fd in (fds / "fd").iterdir()
                        if str(fd.readlink()) == "/dev/ptmx"]
                info = (fds / "fdinfo" / made[0]).read_text(encoding="ascii")
                number = info.split("tty-index:")[1].split()[0]
                screen = os.open(f"/dev/pts/{number}", os.O_RDONLY | os.O_NOCTTY)
            except (OSError, IndexError):
                continue  # Not made yet, or gone again.
            try:
                tty.setraw(screen)
                while os.read(screen, 65536):
                    pass
            except (OSError, termios.error):
                pass  # It ends with Bochs.
            os.close(screen)

    def running(self) -> bool:
        """Whether the machine is still on."""
        return self.process.poll() is None

    def stop(self) -> None:
        """Switch it off."""
        if self.running():
            self.process.kill()
        self.process.wait()

    def last_words(self) -> str:
        """What Bochs said of its own end."""
        log = self.folder / "bochs.log"
        if not log.exists():
            return (self.folder / "said").read_text(errors="replace")[-400:]
        lines = log.read_text(errors="replace").splitlines()
        return "\n".join([line for line in lines if "PANIC" in line or ">>PANIC<<" in line][-3:])
