# SPDX-License-Identifier: GPL-2.0
"""The cache folder: what is built once and kept, by a hash of all that went in.

An entry is a folder `KIND/KEY`. It counts only once it holds the file
`.complete`, which is written last; a builder that dies leaves none, and the
next one starts over (or, where make can, goes on). A lock file beside the
entry makes a second process wait for the first instead of building again.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import writing

STAMP = ".complete"


def root() -> Path:
    """The cache folder, by the XDG rules; VMXSCOPE_CACHE overrides it."""
    own = os.environ.get("VMXSCOPE_CACHE")
    if own:
        return Path(own).resolve()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).resolve() / "vmxscope"


def digest(*parts: object) -> str:
    """A short hash of strings, of files (path and content) and of lists of them."""
    sha = hashlib.sha256()

    def feed(part: object) -> None:
        if isinstance(part, Path):
            for file in sorted(part.rglob("*")) if part.is_dir() else [part]:
                if file.is_file() and "__pycache__" not in file.parts:
                    sha.update(str(file.relative_to(part.parent)).encode() + b"\0")
                    sha.update(b"x" if os.access(file, os.X_OK) else b"-")
                    sha.update(hashlib.sha256(file.read_bytes()).digest())
        elif isinstance(part, (list, tuple)):
            for item in part:
                feed(item)
            sha.update(b"\1")
        else:
            sha.update(str(part).encode() + b"\0")

    feed(parts)
    return sha.hexdigest()[:16]


@contextmanager
def lock(path: Path, waiting: str = "", shared: bool = False) -> Iterator[None]:
    """Hold a lock file; say what is waited for, once, if another process has it."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("a", encoding="ascii")
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    with handle:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting:
                print(f"waiting for another run: {waiting}", file=sys.stderr)
            fcntl.flock(handle, kind)
        yield


def entry(
    kind: str,
    key: str,
    build: Callable[[Path], None],
    *,
    resume: bool = False,
    what: str = "",
) -> Path:
    """The folder `kind/key`, built by `build(folder)` if it is not complete yet.

    With `resume`, what an interrupted build left is handed to `build` again
    (make goes on from there); otherwise it is removed first.
    """
    top = root()
    folder = top / kind / key
    if (folder / STAMP).exists():
        mark_used(folder)
        return folder
    with (
        lock(top / ".in-use", shared=True),
        lock(top / kind / f".{key}.lock", what or f"{kind} {key}"),
    ):
        if (folder / STAMP).exists():
            return folder
        with writing(folder):
            if folder.exists() and not resume:
                shutil.rmtree(folder)
            folder.mkdir(parents=True, exist_ok=True)
            build(folder)
            with open(folder / f"{STAMP}.new", "w", encoding="utf-8") as stamp:
                stamp.write(f"{what or kind}\n")
                stamp.flush()
                os.fsync(stamp.fileno())
            os.rename(folder / f"{STAMP}.new", folder / STAMP)
    return folder


def mark_used(folder: Path) -> None:
    """Remember when an entry was last of use, for the size report."""
    # A cache that another user filled can be read all the same.
    with contextlib.suppress(OSError):
        os.utime(folder / STAMP)


def clean() -> None:
    """Remove the cache folder, once nothing is being built in it."""
    top = root()
    if not top.exists():
        print(f"{top} does not exist: nothing to clean")
        return
    with lock(top / ".in-use", "the cache is in use"):
        for child in top.iterdir():
            if child.name == ".in-use":
                continue
            shutil.rmtree(child) if child.is_dir() else child.unlink()
    print(f"{top} is empty")


def disk_usage(folder: Path) -> int:
    """Bytes that a folder takes on disk; a file with many links counts once."""
    seen: set[int] = set()
    total = 0
    for path, _, files in os.walk(folder):
        for name in files:
            info = os.lstat(os.path.join(path, name))
            if info.st_ino not in seen:
                seen.add(info.st_ino)
                total += info.st_blocks * 512
    return total


def entries() -> Iterable[tuple[Path, str, int, float]]:
    """Every entry with its description, size and the time of its last use.

    A folder that is no entry (the tools, the fetched sources) is listed whole.
    """
    for kind in sorted(p for p in root().glob("*") if p.is_dir()):
        parts = [p for p in sorted(kind.iterdir()) if p.is_dir()]
        if not any((part / STAMP).exists() for part in parts):
            yield kind, "", disk_usage(kind), kind.stat().st_mtime
            continue
        for folder in parts:
            stamp = folder / STAMP
            done = stamp.exists()
            label = stamp.read_text(encoding="utf-8").strip() if done else "(incomplete)"
            when = (stamp if done else folder).stat().st_mtime
            yield folder, label, disk_usage(folder), when


def report() -> None:
    """Print the size of the cache, an entry a line, and the total."""
    total = 0
    for folder, label, size, when in entries():
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(when))
        print(f"{size / 2**20:9.1f} MiB  {used}  {folder.relative_to(root())}  {label}")
        total += size
    print(f"{total / 2**20:9.1f} MiB  in all, in {root()}")
