# SPDX-License-Identifier: GPL-2.0
"""Inside the private tools: a mount namespace with their /usr and /etc in the machine's place.

Everything else of the machine, home folders and /dev among it, is where it was.
It takes root, or a user namespace.
"""

from __future__ import annotations

import functools
import os
import platform
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

from vmxlab import cache
from vmxlab.errors import NO_ROOT, UNFIT, LabError, writing

SCRIPT = Path(__file__).with_suffix(".sh")
MARK = ".vmxscope"  # in the top folder of the root, and so in / once inside
PYTHON = (3, 11)


def here() -> bool:
    """Whether this process is inside."""
    return Path("/", MARK).exists()


def check_machine() -> None:
    """Say what this machine lacks before anything is fetched."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise LabError(f"this is {platform.system()} on {platform.machine()}",
                       "The lab needs Linux on x86-64.", UNFIT)
    if sys.version_info < PYTHON:
        raise LabError(f"this is Python {platform.python_version()}",
                       f"The scripts need Python {PYTHON[0]}.{PYTHON[1]} or newer.", UNFIT)
    lacking = [name for name in ("git", "make", "tar", "mount", "unshare", "pivot_root", "apt-get",
                                 "dpkg-deb")
               if not _which(name)]
    if lacking:
        raise LabError(f"this machine lacks {', '.join(lacking)}",
                       "Install them with the distribution's package manager; apt-get and dpkg-deb "
                       "come with its packages apt and dpkg, or with mmdebstrap.", UNFIT)
    _unshare()


def _which(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


@functools.cache
def _unshare() -> list[str]:
    """The command that gives a program a mount namespace: as root, or in a user namespace."""
    plain = [_which("unshare") or "unshare", "--mount"]
    tries = [plain] if os.geteuid() == 0 else []
    tries.append([*plain, "--user", "--map-root-user"])
    said = ""
    for command in tries:
        done = subprocess.run([*command, "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
                              capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return command
        said = done.stderr.strip()
    raise LabError(
        f"this user is neither root nor may use user namespaces: {said}",
        "Run it as root, or allow unprivileged user namespaces (sysctl user.max_user_namespaces, "
        "kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns).",
        NO_ROOT,
    )


def command_line(command: list[str]) -> list[str]:
    """The command line that runs `command` inside the root, in the current folder."""
    mount_point = cache.root() / "tools/mnt"
    with writing(mount_point):
        mount_point.mkdir(parents=True, exist_ok=True)
    paths = ssl.get_default_verify_paths()
    certificates = os.environ.get("SSL_CERT_FILE") or paths.cafile or paths.openssl_cafile
    return [*_unshare(), "sh", str(SCRIPT), str(mount_point), str(cache.root() / "tools/root"),
            os.path.realpath(certificates), os.getcwd(), *command]


def environment() -> dict[str, str]:
    """The environment inside: the machine's, less what names its tools, homes and caches."""
    drop = ("CARGO_", "RUST", "PYTHON", "PYENV", "LD_", "GCC_", "LLVM", "XDG_", "MAKE", "MFLAGS")
    keep = ("CARGO_REGISTR", "CARGO_HTTP", "CARGO_NET", "RUST_BACKTRACE", "RUSTUP_DIST_SERVER")
    env = {k: v for k, v in os.environ.items() if k.startswith(keep) or not k.startswith(drop)}
    home = cache.root() / "home"
    for folder in ("", "cargo", "tmp"):
        with writing(home / folder):
            (home / folder).mkdir(parents=True, exist_ok=True)
    _cargo_settings(home / "cargo")
    return env | {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(home),
        "CARGO_HOME": str(home / "cargo"),
        "TMPDIR": str(home / "tmp"),
        "VMXSCOPE_CACHE": str(cache.root()),
        "VMXSCOPE_UID": str(os.getuid()),  # who it is outside: inside, everybody is root
        "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
        "LC_ALL": "C.UTF-8",
    }


def _cargo_settings(home: Path) -> None:
    """Which registry cargo asks is the machine's own setting."""
    theirs = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo", "config.toml")
    if theirs.is_file() and not (home / "config.toml").exists():
        shutil.copyfile(theirs, home / "config.toml")
