# SPDX-License-Identifier: GPL-2.0
"""Packages from the Debian archive, by an apt whose whole state is in the cache.

Its sources, lists, downloads and package status are its own, so the machine's
packages play no part, whatever distribution it is, and no root is needed. It
verifies the archive's signature, and with it the hash of each package.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from vmxlab import mirror
from vmxlab.errors import UNFIT, UNREACHABLE, UNVERIFIED, LabError, disk_full, writing
from vmxlab.progress import Step

RELEASE = "trixie"  # Debian 13: whatever is built or run comes from it
# The kernels of Debian 12 and those of 13's backports are bases of the lab.
SUITES = ("trixie", "trixie-updates", "trixie-backports", "bookworm")
SECURITY_SUITES = ("trixie-security", "bookworm-security")
KEYRINGS = tuple(
    Path(f"/usr/share/keyrings/debian-archive-keyring.{end}") for end in ("gpg", "pgp")
)
FULL = 1 << 20  # bytes: with less than this, nothing more can be fetched
LISTS = 100 << 20  # bytes: the package lists, 41 MB, and what apt unpacks of them meanwhile

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
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Default-Release "{release}";
APT::Install-Recommends "false";
// We run as the user, who owns these folders; as root, _apt could not enter them.
APT::Sandbox::User "root";
{acquire}
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
"""


@dataclass(frozen=True)
class Deb:
    """A package file: what it is, and its size in bytes."""

    name: str
    version: str
    size: int
    file: str


def keyring() -> Path:
    """The Debian archive's keyring, which signatures are verified with."""
    for path in KEYRINGS:
        if path.exists():
            return path
    raise LabError(
        f"{KEYRINGS[0]} is missing, so Debian's packages cannot be verified",
        "Install the package debian-archive-keyring (distributions other than Debian have it too).",
        UNFIT,
    )


def _acquire_settings() -> str:
    """How the machine's own apt reaches archives: its proxies, for one."""
    done = subprocess.run(
        ["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=False
    )
    return "".join(
        line + "\n" for line in done.stdout.splitlines()
        if re.match(r'Acquire::\S+ ".+";$', line)
        and not re.match(r"Acquire::(Languages|Allow|Index|Gzip|CompressionTypes)", line)
    )


class Apt:
    """An apt whose whole state lies in the folder `home`."""

    def __init__(self, home: Path) -> None:
        for program in ("apt-get", "dpkg-deb"):
            if not shutil.which(program):
                raise LabError(
                    f"this machine has no {program}, which fetches the private tools",
                    "Install your distribution's packages apt and dpkg, or mmdebstrap, which "
                    "brings both; they need no set-up.",
                    UNFIT,
                )
        self.home = home
        self.config = home / "apt.conf"
        if self.config.exists() and "VMXSCOPE_MIRROR" not in os.environ:
            return
        main, security = mirror.archives(RELEASE)
        stanzas = [(main, SUITES)] + ([(security, SECURITY_SUITES)] if security else [])
        source_list = "".join(
            f"Types: deb\nURIs: {uri}\nSuites: {' '.join(suites)}\nComponents: main\n"
            f"Targets: Packages\nSigned-By: {keyring()}\n\n"
            for uri, suites in stanzas
        )
        with writing(home):
            for folder in ("lists/partial", "cache/archives/partial"):
                (home / folder).mkdir(parents=True, exist_ok=True)
            (home / "status").touch()
            sources = home / "debian.sources"
            if not sources.exists() or sources.read_text(encoding="utf-8") != source_list:
                (home / "updated").unlink(missing_ok=True)
                sources.write_text(source_list, encoding="utf-8")
            self.config.write_text(
                CONFIG.format(home=home, release=RELEASE, acquire=_acquire_settings()),
                encoding="utf-8",
            )

    def run(
        self, *command: str, step: Step | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run one of apt's programs; raise LabError if it fails, with what it complained of."""
        program, *arguments = command
        options = ["-q", "-c", str(self.config)]
        environment = {k: v for k, v in os.environ.items() if k != "APT_CONFIG"}
        environment |= {"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
        read, write = os.pipe()
        with subprocess.Popen(
            [program, *options, "-o", f"APT::Status-Fd={write}", *arguments],
            env=environment, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, pass_fds=[write],
        ) as process:
            os.close(write)
            with ThreadPoolExecutor(1) as pool, open(read, "rb", buffering=0) as status:
                result = pool.submit(process.communicate)
                while process.poll() is None:
                    time.sleep(0.05)
                    if select.select([status], [], [], 0.5)[0]:
                        # dlstatus:NUMBER:PERCENT:TEXT
                        told = re.findall(rb"^dlstatus:\d+:([\d.]+):", status.read(1 << 16), re.M)
                        if step and told:
                            step.share(float(told[-1]))
                    # On a full disk apt waits for ever for its own helpers.
                    if shutil.disk_usage(self.home).free < FULL:
                        process.kill()
                        raise disk_full(self.home)
                output, errors = result.result()
        if process.returncode:
            self._fail(command, errors)
        return subprocess.CompletedProcess(command, process.returncode, output, errors)

    def _fail(self, command: Iterable[str], errors: str) -> None:
        if re.search(r"No space left on device|enough free space|\(28:", errors):
            raise disk_full(self.home)
        lines = re.findall(r"^(?:E|W|Err\S*|Error|Warning): ?(.*)", errors, re.M)
        said = lines[0] if lines else errors.strip()[-300:]
        if re.search(r"NO_PUBKEY|BADSIG|not signed|signature|OpenPGP|Hash Sum", errors, re.I):
            raise LabError(
                f"the Debian archive's package lists or packages cannot be trusted: {said}",
                "Check the mirror in the machine's apt sources or in VMXSCOPE_MIRROR, and that "
                f"{keyring()} is up to date (package debian-archive-keyring).",
                UNVERIFIED,
            )
        raise LabError(
            f"`{' '.join(command)}` failed: {said}",
            "Check the network, the clock and apt's proxy settings, and run this again: what "
            "was fetched is kept.",
            UNREACHABLE,
        )

    def update(self, force: bool = False) -> None:
        """Fetch the suites' signed lists, unless that was done before."""
        stamp = self.home / "updated"
        if stamp.exists() and not force:
            return
        if shutil.disk_usage(self.home).free < LISTS:
            # apt would wait for ever for a helper that ran out of space.
            raise disk_full(self.home)
        with Step("Fetching Debian's package lists") as step:
            self.run("apt-get", "update", "-o", "APT::Update::Error-Mode=any", step=step)
        stamp.touch()

    def versions(self, name: str) -> list[str]:
        """All versions of a package, newest first."""
        rows = self.run("apt-cache", "madison", name).stdout.splitlines()
        found = [row.split("|")[1].strip() for row in rows if row.count("|") == 2]
        return list(dict.fromkeys(found))

    def depends(self, name: str, version: str) -> list[str]:
        """The names of the packages that a package depends on, first alternatives only."""
        shown = self.run("apt-cache", "show", f"{name}={version}").stdout.split("\n\n")[0]
        fields = dict(re.findall(r"^(Pre-Depends|Depends): (.*)$", shown, re.M))
        return [re.split(r"[ :(|]", part.strip())[0]
                for value in fields.values() for part in value.split(",")]

    def plan(self, *names: str) -> list[Deb]:
        """The packages that have to be fetched for these and all that they depend on."""
        # What has been downloaded is not listed, so it is told of another folder of downloads.
        elsewhere = f"Dir::Cache::Archives={self.home}/cache/none"
        listed = self.run("apt-get", "install", "--print-uris", "-y", "-o", elsewhere, *names)
        return list(_debs(listed.stdout))

    def download(self, step: Step, *names: str) -> Path:
        """Fetch packages with what they depend on; returns the folder with the files."""
        self.run("apt-get", "install", "--download-only", "-y", *names, step=step)
        return self.home / "cache/archives"

    def plan_exact(self, *names: str) -> list[Deb]:
        """Packages named as NAME or NAME=VERSION, without what they depend on."""
        return list(_debs(self.run("apt-get", "download", "--print-uris", *names).stdout))

    def download_exact(self, step: Step, *names: str) -> Path:
        """Fetch packages without what they depend on; returns the folder with the files."""
        folder = self.home / "cache/exact"
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        # apt-get download knows no other place than the current folder.
        self.run("apt-get", "download", *names, step=step, cwd=folder)
        return folder


def _debs(listing: str) -> Iterator[Deb]:
    """What `--print-uris` lists: 'URI' FILE SIZE HASH, with names as apt keeps the files."""
    for file, size in re.findall(r"^'\S+' (\S+\.deb) (\d+) ", listing, re.M):
        name, version, _ = file.removesuffix(".deb").split("_")
        yield Deb(name, unquote(version), int(size), file)
