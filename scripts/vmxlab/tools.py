# SPDX-License-Identifier: GPL-2.0
"""The private tools: one Debian release's packages, unpacked into the cache and used from there.

Nothing is installed on the machine. The packages are unpacked, not configured,
into one folder, the root, which vmxlab.inside enters.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

from vmxlab import cache, debian, inside
from vmxlab.errors import LabError, disk_full, writing
from vmxlab.progress import Step

# What is needed for what. "~E" is apt's name of all essential packages.
LAB = (
    "~E", "git", "make", "python3", "patch", "rsync", "file",
    "gcc", "gcc-14", "gcc-12", "libc6-dev", "binutils", "bison", "flex", "bc", "libelf-dev",
    "libssl-dev", "cpio", "kmod", "xz-utils", "zstd", "lz4", "dwarves",
    "rustc", "cargo", "rust-src", "bindgen",
    "bochs", "bochs-term", "bochsbios", "vgabios", "qemu-system-x86", "grub-pc-bin",
    "grub-common", "xorriso", "mtools", "busybox-static", "cpuid",
)
SETS = {
    "lab": LAB,
    "test": (
        *LAB, "rustfmt", "rust-clippy", "python3-pytest",
        "python3-pytest-xdist", "python3-pip", "mypy", "shellcheck", "tmux", "procps", "dpkg-dev",
        "perl", "apt", "mmdebstrap", "dkms", "chromium", "prometheus", "python3-rich",
        "uuid-dev",
    ),
    "bench": (*LAB, "linux-perf", "valgrind"),
    "trust": (*LAB, "g++"),  # libFuzzer is of C++; vmxlab.rust has what Debian lacks
}
# Links that the packages' own scripts, which are not run, would have made.
LINKS = {"awk": "mawk", "which": "which.debianutils", "cc": "gcc", "c++": "g++"}
# Documentation, translations and icons, which nothing here reads.
LEFT_OUT = ("doc", "man", "locale", "info", "lintian", "bug", "icons", "gnome")

# What the root has: versions by package, and by request the key of what it asked for.
State = dict[str, dict[str, str]]


def root() -> Path:
    """The folder that the tools' packages are unpacked into."""
    return cache.root() / "tools/root"


def apt() -> debian.Apt:
    """The apt that fetches them."""
    return debian.Apt(cache.root() / "tools/apt")


def _state() -> Path:
    return cache.root() / "tools/state.json"


def _load() -> State:
    try:
        state: State = json.loads(_state().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        state = {"packages": {}, "complete": {}}
    return state


def _save(state: State) -> None:
    new = _state().with_suffix(".new")
    new.write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
    new.replace(_state())


def versions(*packages: str) -> list[str]:
    """The versions of packages of the root, as they go into the keys of what they build."""
    have = _load()["packages"]
    return [f"{name} {have.get(name, 'none')}" for name in packages]


def missing(*sets: str) -> list[str]:
    """Those of the sets that are not complete."""
    complete = _load()["complete"]
    return [name for name in sets if complete.get(name) != cache.digest(SETS[name])]


def install(*sets: str) -> None:
    """Fetch and unpack sets of tools, unless they are there."""
    if not missing(*sets):
        return
    if not inside.here():
        inside.check_machine()
    with _locked():
        wanted = missing(*sets)
        if not wanted:
            return
        ours, state = apt(), _load()
        ours.update()
        names = sorted({name for each in (*wanted, *state["complete"]) if each in SETS
                        for name in SETS[each]})
        _unpack(state, ours.plan(*names), lambda step: ours.download(step, *names),
                f"the tools for {' and '.join(wanted)}")
        _finish()
        state["complete"] |= {name: cache.digest(SETS[name]) for name in wanted}
        _save(state)


def install_exact(request: str, names: Iterable[str]) -> None:
    """Fetch and unpack packages (NAME=VERSION) without what they depend on.

    `request` names them as a whole in messages and in the record of what is there.
    """
    names = list(names)
    key = cache.digest(names)
    if _load()["complete"].get(request) == key:
        return
    with _locked():
        ours, state = apt(), _load()
        _unpack(state, ours.plan_exact(*names), lambda step: ours.download_exact(step, *names),
                request)
        state["complete"][request] = key
        _save(state)


def _locked() -> AbstractContextManager[None]:
    return cache.lock(cache.root() / "tools/.lock", "the tools are being unpacked")


def _unpack(state: State, debs: Iterable[debian.Deb], download: Callable[[Step], Path],
            what: str) -> None:
    """Download what `debs` lists, and unpack what the root does not have of it."""
    new = [deb for deb in debs if state["packages"].get(deb.name) != deb.version]
    if not new:
        return
    size = sum(deb.size for deb in new)
    top = root()
    with writing(top):
        top.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(top).free < 2 * size:
        raise disk_full(top)
    with Step(f"Fetching {what}: {len(new)} packages, {size / 1e6:.0f} MB") as step:
        folder = download(step)
    guard = threading.Lock()

    def one(deb: debian.Deb) -> None:
        _extract(folder / deb.file, top)
        with guard:
            state["packages"][deb.name] = deb.version
            (folder / deb.file).unlink()
            step.tick()

    new.sort(key=lambda deb: (deb.name != "base-files", -deb.size))
    with Step(f"Unpacking {what}", len(new), "packages") as step:
        try:
            if new[0].name == "base-files":  # It has the links of / that others go through.
                one(new.pop(0))
            with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
                list(pool.map(one, new))
        finally:
            _save(state)


def _extract(deb: Path, top: Path) -> None:
    """Unpack one package below `top`."""
    excluded = [f"--exclude=./usr/share/{name}/*" for name in LEFT_OUT]
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as reader:
        done = subprocess.run(
            ["tar", "-x", "-C", top, "--keep-directory-symlink", "--no-same-owner", *excluded],
            stdin=reader.stdout, capture_output=True, text=True, check=False,
        )
        assert reader.stdout and reader.stderr
        reader.stdout.close()
        said = done.stderr + reader.stderr.read().decode(errors="replace")
    if done.returncode or reader.returncode:
        if "No space left" in said or shutil.disk_usage(top).free < 1 << 20:
            raise disk_full(top)
        deb.unlink(missing_ok=True)
        raise LabError(f"{deb.name} cannot be unpacked: {said.strip()[-300:]}",
                       "It was removed: run this again, which fetches it anew.")


def _finish() -> None:
    """What the packages' own scripts would have done, as far as anything here needs it."""
    top = root()
    for name, target in LINKS.items():
        link = top / "usr/bin" / name
        if not link.exists() and link.with_name(target).exists():
            link.symlink_to(target)
    for name in ("etc/resolv.conf", "etc/hosts", "etc/passwd", "etc/group",
                 "etc/ssl/certs/ca-certificates.crt"):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).touch()
    (top / inside.MARK).touch()
    ldconfig = ["/usr/sbin/ldconfig"]
    subprocess.run(ldconfig if inside.here() else inside.command_line(ldconfig), check=True)


def enter(*sets: str) -> None:
    """Go on inside the root, with these sets of tools there.

    Outside it, this replaces the process by the same program inside, and does
    not return.
    """
    install(*sets)
    if inside.here():
        return
    program = os.path.abspath(sys.argv[0])
    command = inside.command_line(["/usr/bin/python3", program, *sys.argv[1:]])
    sys.stdout.flush()
    sys.stderr.flush()
    os.execvpe(command[0], command, inside.environment())
