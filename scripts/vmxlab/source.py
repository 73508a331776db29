# SPDX-License-Identifier: GPL-2.0
"""Kernel sources and Debian's own kernels: which packages they are, and where they lie."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from vmxlab import cache, debian, tools
from vmxlab.errors import LabError
from vmxlab.progress import Step

# Series that the patches are for, and the one of Debian 12, for the modules alone.
SERIES = ("6.12", "7.3", "6.1")
DEFAULT = SERIES[0]
# The packages of a kernel, which differ from series to series.
PARTS = re.compile(r"linux-(image|binary|modules|base|headers|kbuild)-\d")


@dataclass(frozen=True)
class DebianKernel:
    """A kernel as Debian ships it, its packages unpacked into the private root."""

    series: str
    package_version: str  # Debian's, such as 6.12.117-1
    release: str  # what uname -r says in it

    @property
    def version(self) -> str:
        """Linux's own version, as the Makefile of its source says it."""
        return re.sub(r"[-~].*", "", self.package_version)

    @property
    def headers(self) -> Path:
        """The folder that modules are built against, where it lies inside."""
        return Path("/usr/src") / f"linux-headers-{self.release}"

    @property
    def modules(self) -> Path:
        """The folder of its modules, where it lies inside."""
        return Path("/lib/modules") / self.release

    @property
    def image(self) -> Path:
        """The bootable image. The machine's own /boot hides the root's."""
        for folder in (tools.root() / "boot", tools.root() / "usr/lib/modules" / self.release):
            for name in (f"vmlinuz-{self.release}", "vmlinuz"):
                if (folder / name).exists():
                    return folder / name
        raise LabError(f"the packages of Linux {self.release} hold no vmlinuz",
                       "`make clean-cache` and another run fetch them again.")


def debian_kernel(series: str) -> DebianKernel:
    """Debian's newest kernel of a series, fetched and unpacked once."""
    folder = cache.entry("debian-kernels", cache.digest(series), lambda f: _find(series, f),
                         what=f"which Linux {series} Debian has")
    version, release, *packages = (folder / "packages").read_text(encoding="utf-8").split()
    tools.install_exact(f"Debian's Linux {release}", packages)
    return DebianKernel(series, version, release)


def _find(series: str, folder: Path) -> None:
    """Write the package version, the release and the packages of a series' newest kernel."""
    apt = tools.apt()
    apt.update()
    found = [v for v in apt.versions("linux-headers-amd64") if v.startswith(f"{series}.")]
    if not found:
        raise LabError(f"the Debian archive has no kernel {series}",
                       f"Its suites {', '.join(debian.SUITES)} are asked. Name a tree of "
                       "your own with KERNEL_TREE=, or a mirror with VMXSCOPE_MIRROR=.")
    version = found[0]
    headers = next(n for n in apt.depends("linux-headers-amd64", version)
                   if n.startswith("linux-headers-"))
    release = headers.removeprefix("linux-headers-")
    packages: dict[str, str] = {}
    todo = [headers, f"linux-image-{release}"]
    while todo:
        name = todo.pop()
        if name in packages or not PARTS.match(name):
            continue
        # The build tools of 6.1 have no release in their name: for some hours of each
        # update the archive has those of the next version only, which serve as well.
        versions = apt.versions(name) or [version]
        packages[name] = version if version in versions else versions[0]
        todo += apt.depends(name, packages[name])
    lines = [version, release, *(f"{name}={packages[name]}" for name in sorted(packages))]
    (folder / "packages").write_text("\n".join(lines) + "\n", encoding="utf-8")


def tarball(series: str) -> Path:
    """The source of exactly the Debian kernel of a series, as Debian packs it (.tar.xz)."""
    kernel = debian_kernel(series)
    package = f"linux-source-{series}"

    def fetch(folder: Path) -> None:
        wanted = f"{package}={kernel.package_version}"
        size = sum(deb.size for deb in tools.apt().plan_exact(wanted))
        with Step(f"Fetching {package} {kernel.package_version}, {size / 1e6:.0f} MB") as step:
            debs = tools.apt().download_exact(step, wanted)
        deb = next(debs.glob(f"{package}_*.deb"))
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb],
                              stdout=subprocess.PIPE) as reader:
            subprocess.run(["tar", "-x", "-C", folder, "--strip-components=3",
                            f"./usr/src/{package}.tar.xz"], stdin=reader.stdout, check=True)
        deb.unlink()

    folder = cache.entry("sources", f"{package}_{kernel.package_version}", fetch, what=package)
    return folder / f"{package}.tar.xz"


def unpack(archive: Path, tree: Path, *members: str, without: tuple[str, ...] = (),
           first: bool = False) -> None:
    """Unpack a source tarball into `tree`, or only the members that the patterns name.

    With `first` the archive is read until one of each is found, which are files then.
    """
    if tree.exists():
        shutil.rmtree(tree)
    tree.mkdir(parents=True)
    patterns = [f"*/{member}" for member in members]
    done = subprocess.run(
        ["tar", "-x", "-f", archive, "-C", tree, "--strip-components=1", "--wildcards",
         *(f"--exclude=*/{name}" for name in without), *(["--occurrence=1"] if first else []),
         "--no-wildcards-match-slash", *patterns],
        capture_output=True, text=True, check=False,
    )
    if done.returncode:
        fetched = archive.parent.parent == cache.root() / "sources"
        if fetched and "No space left" not in done.stderr:
            shutil.rmtree(archive.parent, ignore_errors=True)
        raise LabError(
            f"{archive} cannot be unpacked: {done.stderr.strip()[-400:]}",
            "Check the free space with df." + (
                " A broken archive has been removed: the next run fetches it again."
                if fetched else ""),
        )
