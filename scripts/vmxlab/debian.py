# SPDX-License-Identifier: GPL-2.0
"""Packages from the Debian archive, by an apt of our own.

The kernels come from suites that the machine need not have in its sources, and
must not get there for our sake. So apt runs with its sources, lists, caches and
package status in our cache folder; it needs no root, and it still verifies the
archive's signature, with Debian's keyring, down to the hash of each package.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from vmxlab.errors import LabError, disk_full, writing

DEFAULT_MIRROR = "http://deb.debian.org/debian"
DEFAULT_SECURITY = "http://deb.debian.org/debian-security"
SUITES = ("bookworm", "bookworm-updates", "trixie", "trixie-updates", "trixie-backports")
SECURITY_SUITES = ("bookworm-security", "trixie-security")
KEYRINGS = tuple(
    Path(f"/usr/share/keyrings/debian-archive-keyring.{end}") for end in ("gpg", "pgp")
)
LISTS_LAST = 24 * 3600  # seconds
DISK_FULL = 1 << 20  # bytes

CONFIG = """\
Dir::Etc::SourceList "{home}/debian.sources";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State "{home}";
Dir::State::Lists "{home}/lists";
Dir::State::Status "{home}/status";
Dir::Cache "{home}/cache";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "srcpkgcache.bin";
Dir::Log "{home}";
#clear APT::Architectures;
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
// Nothing that the machine runs after an update of its own concerns this one.
#clear APT::Update;
#clear APT::Get::AllowUnauthenticated;
#clear Acquire::AllowInsecureRepositories;
// We run as the user, who owns these folders; as root, _apt could not enter them.
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
"""


@dataclass(frozen=True)
class Package:
    """One version of a package, as the signed index of a suite describes it."""

    name: str
    version: str
    suite: str
    size: int
    sha256: str


def keyring() -> Path:
    """The Debian archive's keyring, which signatures are verified with."""
    for path in KEYRINGS:
        if path.exists():
            return path
    raise LabError(
        f"{KEYRINGS[0]} is missing, so Debian's packages cannot be verified",
        "Install debian-archive-keyring: scripts/setup does.",
    )


def machine_mirrors(etc: Path = Path("/etc/apt")) -> tuple[str, str]:
    """The Debian archive and security archive that this machine itself uses."""
    main = security = ""
    for uri, suites in _machine_sources(etc):
        for suite in suites.split():
            if not uri.startswith(("http://", "https://")):
                continue
            if suite in SECURITY_SUITES:
                security = security or uri
            elif suite in SUITES:
                main = main or uri
    return main or DEFAULT_MIRROR, security or DEFAULT_SECURITY


def _machine_sources(etc: Path) -> Iterable[tuple[str, str]]:
    files = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]
    for path in files:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if path.suffix == ".list":
            for line in text.splitlines():
                if entry := re.match(r"deb\s+(?:\[.*?\]\s+)?(\S+)\s+(\S+)", line):
                    yield entry[1].rstrip("/"), entry[2]
        elif path.suffix == ".sources":
            for stanza in re.split(r"\n\s*\n", text):
                uris = re.search(r"^URIs:\s*(\S+)", stanza, re.M | re.I)
                suites = re.search(r"^Suites:\s*(.+)", stanza, re.M | re.I)
                if uris and suites and not re.search(r"^Enabled:\s*no", stanza, re.M | re.I):
                    yield uris[1].rstrip("/"), suites[1]


def sources(main: str, security: str) -> str:
    """A sources file for every suite that a kernel may come from."""
    return "".join(
        f"Types: deb\nURIs: {uri}\nSuites: {' '.join(suites)}\nComponents: main\n"
        f"Targets: Packages\nSigned-By: {keyring()}\n\n"
        for uri, suites in ((main, SUITES), (security, SECURITY_SUITES))
    )


class Apt:
    """An apt whose whole state lies under `root`, with `source_list` as its sources."""

    def __init__(self, root: Path, source_list: str) -> None:
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
            raise LabError("this machine has no apt, so Debian's kernel sources are out of reach")
        # Another list of sources must not see what was fetched by this one.
        self.home = root / hashlib.sha256(source_list.encode()).hexdigest()[:12]
        self.update_errors = ""
        with writing(root):
            for folder in ("lists/partial", "cache/archives/partial"):
                (self.home / folder).mkdir(parents=True, exist_ok=True)
            (self.home / "debian.sources").write_text(source_list)
            (self.home / "status").touch()
            (self.home / "apt.conf").write_text(CONFIG.format(home=self.home))

    def _run(
        self, *command: str, cwd: Path | None = None, watch: Callable[[], None] = lambda: None
    ) -> subprocess.CompletedProcess[str]:
        """Runs one of apt's programs; calls `watch` a few times a second meanwhile."""
        program, *arguments = command
        with subprocess.Popen(
            [program, "-q", "-c", str(self.home / "apt.conf"), *arguments],
            env={**os.environ, "LC_ALL": "C"},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            while True:
                try:
                    output, errors = process.communicate(timeout=0.3)
                    break
                except subprocess.TimeoutExpired:
                    watch()
                    # On a full disk apt waits for ever for its own helpers.
                    if shutil.disk_usage(self.home).free < DISK_FULL:
                        process.terminate()
                        raise disk_full(self.home) from None
        return subprocess.CompletedProcess(command, process.returncode, output, errors)

    def update(self, force: bool = False) -> None:
        """Fetches the suites' signed indices, unless that was done within a day.

        A suite that has left the archive is no failure: the others may have the
        package. What apt complained of is kept for the message if none has.
        """
        stamp = self.home / "updated"
        if not force and stamp.exists() and time.time() - stamp.stat().st_mtime < LISTS_LAST:
            return
        result = self._run("apt-get", "update", "-o", "APT::Update::Error-Mode=any")
        self.update_errors = _complaint(result.stderr)
        if result.returncode == 0:
            with writing(self.home):
                stamp.touch()
            return
        _raise_if_full(result.stderr, self.home)
        if force or not any((self.home / "lists").glob("*Packages*")):
            raise LabError(
                f"the package lists of the Debian archive cannot be fetched: {self.update_errors}",
                "Check the network, the clock and apt's proxy settings, and try again.",
            )

    def newest(self, name: str) -> Package | None:
        """The newest version of a package in any suite; None if none has it."""
        rows = []
        for line in self._run("apt-cache", "madison", name).stdout.splitlines():
            _, version, where = (part.strip() for part in line.split("|"))
            if where.endswith("Packages"):
                rows.append((version, where.split()[1].split("/")[0]))
        if not rows:
            return None
        version, suite = max(
            rows, key=functools.cmp_to_key(lambda a, b: compare_versions(a[0], b[0]))
        )
        shown = self._run("apt-cache", "show", f"{name}={version}").stdout.split("\n\n")[0]
        fields = dict(re.findall(r"^(\S+): (.*)$", shown, re.M))
        try:
            return Package(name, version, suite, int(fields["Size"]), fields["SHA256"])
        except KeyError as missing:
            raise LabError(f"the archive's index gives no {missing} for {name} {version}") from None

    def download(self, package: Package, folder: Path) -> Path:
        """Fetches a package into an empty folder, and checks it once more than apt does."""
        wanted = f"{package.name}={package.version}"
        progress = functools.partial(_show_progress, folder, package)
        result = self._run("apt-get", "download", wanted, cwd=folder, watch=progress)
        if sys.stderr.isatty():
            print(file=sys.stderr)
        for deb in folder.glob(f"{package.name}_*.deb"):
            if result.returncode == 0 and _is(deb, package):
                return deb
        _raise_if_full(result.stderr, folder)
        raise LabError(
            f"{package.name} {package.version} could not be downloaded: "
            + (_complaint(result.stderr) or "what came differs from the signed index"),
            "Check the network and try again; nothing that was fetched before is lost.",
        )


def compare_versions(a: str, b: str) -> int:
    if a == b:
        return 0
    return -1 if subprocess.run(["dpkg", "--compare-versions", a, "lt", b]).returncode == 0 else 1


def _is(path: Path, package: Package) -> bool:
    if path.stat().st_size != package.size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == package.sha256


def _show_progress(folder: Path, package: Package) -> None:
    """A count of megabytes, where a person looks on."""
    if sys.stderr.isatty():
        done = sum(f.stat().st_size for f in folder.glob(f"{package.name}_*")) >> 20
        print(f"\r{package.name}: {done} of {package.size >> 20} MB ", end="", file=sys.stderr)


def _complaint(stderr: str) -> str:
    """What says most in apt's errors: its first error line without the hint to look above."""
    lines = [
        line for line in stderr.splitlines() if line.startswith(("E:", "W:", "Error:", "Warning:"))
    ]
    return re.sub(r"^\w+:\s*", "", lines[0]) if lines else stderr.strip()[-200:]


def _raise_if_full(stderr: str, folder: Path) -> None:
    if re.search(r"No space left on device|enough free space|\(28:", stderr):
        raise disk_full(folder)
