# SPDX-License-Identifier: GPL-2.0
"""Kernel sources: Debian's linux-source packages, fetched once and kept.

    /usr/bin/python3 scripts/vmxlab/source.py 6.12

prints the tarball's path and version. A tarball that was put into the cache by
hand, as sources/linux-source-6.12.tar.xz, is taken before any other.
"""

from __future__ import annotations

import argparse
import fcntl
import functools
import hashlib
import json
import lzma
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

if not __package__:  # run as a program: make the package importable
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from vmxlab import cache, debian
from vmxlab.errors import LabError, disk_full, writing

DEFAULT = "6.12"
SUPPORTED = (DEFAULT, "7.3")
REPOSITORY = Path(__file__).resolve().parents[2]
Say = Callable[[str], None]


@dataclass(frozen=True)
class KernelSource:
    """One kernel's source: the tarball, and where it is from."""

    series: str
    version: str
    debian_version: str  # empty for a tarball put there by hand
    suite: str  # "local" for one
    tarball: Path
    sha256: str


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _order(series: str) -> tuple[int, ...]:
    return tuple(int(number) for number in series.split("."))


def supported(repository: Path = REPOSITORY) -> tuple[str, ...]:
    """The series there are patches for, and the two of the design, oldest first."""
    names = {path.name for path in (repository / "patches").glob("*") if path.is_dir()}
    found = {name for name in names if re.fullmatch(r"\d+\.\d+", name)}
    return tuple(sorted(found | set(SUPPORTED), key=_order))


def fetch(series: str, cache_root: Path, refresh: bool = False, say: Say = _say) -> KernelSource:
    """The source of a series: from the cache, or else its newest Debian package.

    What is in the cache is used without a look at the network; `refresh` asks
    the archive for a newer one. Raises LabError; the cache is valid in any case.
    """
    if not re.fullmatch(r"\d+\.\d+", series):
        raise LabError(f"'{series}' is no kernel series", "Expected one such as 6.12.")
    folder = cache_root / "sources"
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / ".lock", say):
        for leftover in folder.glob(".new-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        source = _put_by_hand(series, folder)
        if not source and not refresh:
            source = _kept(series, folder)
        return source or _from_debian(series, cache_root, refresh, say)


def newest_second(cache_root: Path, refresh: bool = False, say: Say = _say) -> KernelSource:
    """The newest supported series beside the default that can be had at all."""
    failures = []
    for series in sorted(supported(), key=_order, reverse=True):
        if series == DEFAULT:
            continue
        try:
            return fetch(series, cache_root, refresh, say)
        except LabError as error:
            failures.append(error)
    raise LabError(
        "no second kernel series can be had: " + "; ".join(e.message for e in failures),
        failures[0].hint if failures else "patches/ names none.",
    )


def discard(source: KernelSource) -> None:
    """Forgets a tarball that turned out to be damaged, unless it is the user's own."""
    if source.suite != "local":
        _record(source.tarball).unlink(missing_ok=True)
        source.tarball.unlink(missing_ok=True)


def _by_hand(series: str, cache_root: Path) -> str:
    path = cache_root / "sources" / f"linux-source-{series}.tar.xz"
    return f"Or put a source tarball of Linux {series} at {path}, or name a tree with KERNEL_TREE=."


@contextmanager
def _locked(path: Path, say: Say) -> Iterator[None]:
    with writing(path.parent):
        file = path.open("w")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another run is fetching kernel sources; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


# A record beside each tarball says what it is. It is written last, so a tarball
# without one is none, and it holds the size and time of the file it speaks of, so
# that one cut short or changed since is noticed without reading 150 MB each time.


def _record(tarball: Path) -> Path:
    return tarball.with_name(tarball.name + ".json")


def _write_record(source: KernelSource) -> KernelSource:
    stat = source.tarball.stat()
    record = {**asdict(source), "tarball": source.tarball.name}
    record |= {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    with writing(source.tarball.parent), tempfile.TemporaryDirectory(
        prefix=".new-", dir=source.tarball.parent
    ) as temporary:
        new = Path(temporary, "record")
        new.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        new.replace(_record(source.tarball))
    return source


def _read_record(tarball: Path) -> KernelSource | None:
    try:
        record = json.loads(_record(tarball).read_text(encoding="utf-8"))
        stat = tarball.stat()
        if (record.pop("size"), record.pop("mtime_ns")) != (stat.st_size, stat.st_mtime_ns):
            return None
        return KernelSource(**{**record, "tarball": tarball})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _kept(series: str, folder: Path) -> KernelSource | None:
    tarballs = folder.glob(f"linux-source-{series}_*.tar.xz")
    sources = [source for tarball in tarballs if (source := _read_record(tarball))]
    order = functools.cmp_to_key(debian.compare_versions)
    return max(sources, key=lambda s: order(s.debian_version), default=None)


def _put_by_hand(series: str, folder: Path) -> KernelSource | None:
    tarball = folder / f"linux-source-{series}.tar.xz"
    if not tarball.exists():
        return None
    if source := _read_record(tarball):
        return source
    version = _makefile_version(tarball)
    if not re.match(rf"{re.escape(series)}(\.|$|-)", version):
        raise LabError(
            f"{tarball} holds Linux {version}, not {series}",
            "Put the right one there, or remove it.",
        )
    with tarball.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return _write_record(KernelSource(series, version, "", "local", tarball, sha256))


def _makefile_version(tarball: Path) -> str:
    """What the Makefile at the top of a source tarball says it is."""
    try:
        with tarfile.open(tarball, "r|*") as archive:
            for member in archive:
                if re.fullmatch(r"(\./)?[^/]+/Makefile", member.name):
                    file = archive.extractfile(member)
                    text = file.read().decode() if file else ""
                    keys = dict(re.findall(r"^(\w+) *= *(\S*)$", text, re.M))
                    numbers = [keys[k] for k in ("VERSION", "PATCHLEVEL", "SUBLEVEL")]
                    return ".".join(numbers) + keys.get("EXTRAVERSION", "")
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, KeyError, OSError) as error:
        raise LabError(f"{tarball} cannot be read: {error}", "Put a whole one there.") from error
    raise LabError(f"{tarball} holds no Makefile, so it is no kernel source", "Put one there.")


def _from_debian(series: str, cache_root: Path, refresh: bool, say: Say) -> KernelSource:
    name = f"linux-source-{series}"
    mirrors = [debian.machine_mirrors(), (debian.DEFAULT_MIRROR, debian.DEFAULT_SECURITY)]
    complaint = ""
    try:
        # A mirror of the machine's own may lack suites that the archive has.
        for mirror in dict.fromkeys(mirrors):
            apt = debian.Apt(cache_root / "apt", debian.sources(*mirror))
            say(f"asking the Debian archive for {name}")
            apt.update(refresh)
            if package := apt.newest(name):
                return _fetch_package(series, apt, package, cache_root, say)
            complaint = complaint or apt.update_errors
    except LabError as error:
        raise LabError(error.message, f"{error.hint}\n  {_by_hand(series, cache_root)}") from error
    raise LabError(
        f"no Debian suite that was asked has {name}" + (f" ({complaint})" if complaint else ""),
        _by_hand(series, cache_root),
    )


def _fetch_package(
    series: str, apt: debian.Apt, package: debian.Package, cache_root: Path, say: Say
) -> KernelSource:
    folder = cache_root / "sources"
    # An epoch's colon is fine in a file's name, but make cannot have it in one.
    tarball = folder / f"{package.name}_{package.version.replace(':', '.')}.tar.xz"
    if kept := _read_record(tarball):
        return kept
    # The package and the tarball in it, which is as large, for a moment both.
    if shutil.disk_usage(folder).free < 2 * package.size + (64 << 20):
        raise disk_full(folder)
    say(f"fetching {package.name} {package.version} from {package.suite}, {package.size >> 20} MB")
    # A folder of this run's own, so that one which was killed leaves apt no file to share.
    with writing(folder), tempfile.TemporaryDirectory(prefix=".new-", dir=folder) as temporary:
        deb, new = apt.download(package, Path(temporary)), Path(temporary, tarball.name)
        sha256 = _extract(deb, f"usr/src/linux-source-{series}.tar.xz", new)
        new.replace(tarball)
    version = re.sub(r"-[^-]*$|~.*", "", package.version)
    return _write_record(
        KernelSource(series, version, package.version, package.suite, tarball, sha256)
    )


def _extract(deb: Path, wanted: str, new: Path) -> str:
    """Copies one file out of a package; returns its hash."""
    digest = hashlib.sha256()
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
                for member in archive:
                    if member.name.removeprefix("./") == wanted and member.isfile():
                        file = archive.extractfile(member)
                        with new.open("wb") as out:
                            while file and (block := file.read(1 << 20)):
                                digest.update(block)
                                out.write(block)
        except tarfile.TarError as error:
            raise LabError(f"{deb} is damaged: {error}", "Try again.") from error
    if process.returncode or not new.exists():
        raise LabError(f"{deb} holds no {wanted}", "Try again.")
    return digest.hexdigest()


def main() -> int:
    """The command line, for use by hand and by tests."""
    parser = argparse.ArgumentParser(
        description="Fetch a kernel's source; print its path, version."
    )
    parser.add_argument("series", help=f"such as {DEFAULT}; 'second' for the newest other one")
    parser.add_argument("--cache", type=Path, default=cache.root(), help="the cache folder")
    parser.add_argument("--refresh", action="store_true", help="look for a newer version")
    arguments = parser.parse_args()
    try:
        if arguments.series == "second":
            source = newest_second(arguments.cache, arguments.refresh)
        else:
            source = fetch(arguments.series, arguments.cache, arguments.refresh)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 69
    print(source.tarball, source.version)
    return 0


if __name__ == "__main__":
    sys.exit(main())
