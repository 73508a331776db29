# SPDX-License-Identifier: GPL-2.0
"""A small Debian archive in a folder, for tests that must not need the real one."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import tarfile
from pathlib import Path


def tarball(path: Path, version: str) -> Path:
    """A source tarball with nothing in it but a Makefile and some bulk."""
    number, patchlevel, sublevel = version.split(".")
    makefile = f"VERSION = {number}\nPATCHLEVEL = {patchlevel}\nSUBLEVEL = {sublevel}\n"
    with tarfile.open(path, "w:xz") as archive:
        for name, data in (("COPYING", bytes(range(256)) * 64), ("Makefile", makefile.encode())):
            member = tarfile.TarInfo(f"linux-source/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


class Archive:
    """A Debian archive in a folder, unsigned, with kernels as its only packages."""

    def __init__(self, root: Path, trusted: bool = True) -> None:
        self.root = root
        self.trusted = trusted
        self.index = ""

    def add(self, version: str) -> Path:
        series = version.rpartition(".")[0]
        name = f"linux-source-{series}"
        tree = self.root / "build"
        (tree / "usr/src").mkdir(parents=True)
        (tree / "DEBIAN").mkdir()
        tarball(tree / "usr/src" / f"{name}.tar.xz", version)
        control = (
            f"Package: {name}\nVersion: {version}-1~bpo13+1\nArchitecture: all\n"
            "Maintainer: Nobody <nobody@localhost>\nDescription: a kernel\n"
        )
        (tree / "DEBIAN/control").write_text(control)
        deb = self.root / f"pool/{name}_{version}_all.deb"
        deb.parent.mkdir(exist_ok=True)
        build = ["dpkg-deb", "--root-owner-group", "-b", str(tree), str(deb)]
        subprocess.run(build, check=True, capture_output=True)
        shutil.rmtree(tree)
        data = deb.read_bytes()
        self.index += (
            f"{control}Filename: pool/{deb.name}\nSize: {len(data)}\n"
            f"SHA256: {hashlib.sha256(data).hexdigest()}\n\n"
        )
        self.publish()
        return deb

    def publish(self) -> None:
        packages = self.root / "dists/trixie/main/binary-amd64/Packages"
        packages.parent.mkdir(parents=True, exist_ok=True)
        packages.write_text(self.index)
        digest = hashlib.sha256(self.index.encode()).hexdigest()
        (self.root / "dists/trixie/Release").write_text(
            "Suite: trixie\nCodename: trixie\nArchitectures: amd64\nComponents: main\n"
            "Date: Sat, 21 Nov 2026 00:00:00 UTC\n"
            f"SHA256:\n {digest} {len(self.index)} main/binary-amd64/Packages\n"
        )

    def sources(self, *_: str) -> str:
        return (
            f"Types: deb\nURIs: file://{self.root}\nSuites: trixie\nComponents: main\n"
            "Targets: Packages\n" + ("Trusted: yes\n" if self.trusted else "")
        )
