# SPDX-License-Identifier: GPL-2.0
"""A newer Bochs than the machine's, from another suite of Debian, in a folder of its own.

Newer ones have newer CPU models. The program runs with that suite's C library
and its other libraries, which it finds by their folder, so nothing of it gets
into the machine's own system; it needs no root.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

from . import cache, debian
from .errors import LabError

SUITE = "forky"
WANTED = ("bochs", "bochs-term", "bochsbios", "vgabios")
# What apt would install with it and no program of Bochs links with.
NOT_NEEDED = re.compile(r"lib(pam|systemd-shared|gtk-3-common|.*-data$|.*-common$|proc2)")
# Its display wants a library folder by this variable, and the loader another.
WRAPPER = """\
#!/bin/sh
# Bochs of Debian's {suite} with the libraries of that suite.
top={top}
libs=$top/usr/lib/x86_64-linux-gnu
export LTDL_LIBRARY_PATH="$libs/bochs/plugins"
exec "$libs/ld-linux-x86-64.so.2" --library-path "$libs:$libs/pulseaudio" "$top/usr/bin/bochs-bin" "$@"
"""


def archive(suite: str) -> debian.Apt:
    """An apt that knows that suite alone."""
    mirror, _ = debian.machine_mirrors()
    source = (f"Types: deb\nURIs: {mirror}\nSuites: {suite}\nComponents: main\n"
              f"Targets: Packages\nSigned-By: {debian.keyring()}\n\n")
    apt = debian.Apt(cache.root() / "apt", source)
    apt.update()
    return apt


def packages(apt: debian.Apt) -> list[str]:
    """Bochs and the libraries it needs, as NAME=VERSION."""
    asked = apt._run("apt-get", "install", "--simulate", "--no-install-recommends", *WANTED)
    found = re.findall(r"^Inst (\S+) \((\S+) ", asked.stdout, re.M)
    if not found:
        raise LabError(f"Debian's {SUITE} offers no Bochs: {asked.stderr.strip()[-300:]}",
                       "Check the network and apt's proxy settings.")
    return [f"{name}={version}" for name, version in found
            if name in WANTED or name == "zlib1g"
            or name.startswith("lib") and not NOT_NEEDED.match(name)]


def get(suite: str = SUITE) -> Path:
    """The program, fetched if it is not in the cache yet.

    Raises LabError if the archive cannot be reached, or it does not run here.
    """
    apt = archive(suite)
    wanted = packages(apt)

    def build(folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            # apt checks each against the signed index.
            done = apt._run("apt-get", "download", *wanted, cwd=Path(scratch))
            files = sorted(Path(scratch).glob("*.deb"))
            if done.returncode or len(files) != len(wanted):
                raise LabError(f"Bochs of {suite} could not be downloaded: "
                               f"{done.stderr.strip()[-300:]}", "Try again.")
            for file in files:
                subprocess.run(["dpkg-deb", "--extract", file, folder], check=True)
        program = folder / "usr/bin/bochs-of-its-own"
        program.write_text(WRAPPER.format(suite=suite, top=folder), encoding="ascii")
        program.chmod(0o755)

    folder = cache.entry("bochs", cache.digest(wanted, WRAPPER), build, what=wanted[-1])
    return folder / "usr/bin/bochs-of-its-own"
