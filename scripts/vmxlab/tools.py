# SPDX-License-Identifier: GPL-2.0
"""The private tools: one Debian release's packages, unpacked into the cache and used from there.

Nothing is installed on the machine. The packages are unpacked, not configured,
into one folder, the root. A program enters it in a mount namespace, in which the
root's /usr and /etc lie where the machine's are, and everything else of the
machine, home folders and /dev among it, is where it was. That takes root, or a
user namespace.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from vmxlab import REPO, cache, debian
from vmxlab.errors import NO_ROOT, UNFIT, LabError, disk_full, writing
from vmxlab.progress import Step

# What is needed for what. "~E" is apt's name of all essential packages.
LAB = (
    "~E", "git", "make", "python3", "patch", "rsync", "file",
    "gcc", "gcc-14", "libc6-dev", "binutils", "bison", "flex", "bc", "libelf-dev", "libssl-dev",
    "cpio", "kmod", "xz-utils", "zstd", "lz4", "dwarves",
    "rustc", "cargo", "rust-src",
    "bochs", "bochs-term", "bochsbios", "vgabios", "qemu-system-x86", "grub-pc-bin",
    "grub-common", "xorriso", "mtools", "busybox-static", "cpuid",
)
SETS = {
    "lab": LAB,
    "test": (
        *LAB, "gcc-12", "bindgen", "rustfmt", "rust-clippy", "python3-pytest",
        "python3-pytest-xdist", "python3-pip", "mypy", "shellcheck", "tmux", "procps", "dpkg-dev",
        "perl", "apt", "mmdebstrap", "dkms", "chromium", "prometheus", "python3-rich",
    ),
    "bench": (*LAB, "linux-perf", "valgrind"),
}
# Links that the packages' own scripts, which are not run, would have made.
LINKS = {"awk": "mawk", "which": "which.debianutils", "cc": "gcc", "c++": "g++"}
# Documentation, translations and icons, which nothing here reads.
LEFT_OUT = ("doc", "man", "locale", "info", "lintian", "bug", "icons", "gnome")
MARK = ".vmxscope"  # in the top folder of the root, and so in / once inside
INSIDE = Path("/", MARK)
PYTHON = (3, 11)

# Run by the machine's own sh, as the root of a mount namespace. $1: an empty folder, $2: the
# root, $3: the machine's certificates (or nothing), $4: the folder to go on in.
ENTER = r"""
set -e
PATH=$PATH:/usr/sbin:/sbin
new=$1 tools=$2 certificates=$3 folder=$4
shift 4
mount -t tmpfs -o mode=755 tmpfs "$new"
for path in /* /.[!.]*; do
    name=${path##*/}
    [ -e "$tools/$name" ] && [ "$name" != root ] && continue
    if [ -d "$path" ] && [ ! -L "$path" ]; then
        mkdir "$new/$name"
        mount --rbind "$path" "$new/$name"
    elif [ -L "$path" ]; then
        cp -P "$path" "$new/$name"
    fi
done
for path in "$tools"/* "$tools"/.[!.]*; do
    name=${path##*/}
    if [ -L "$path" ]; then
        cp -P "$path" "$new/$name"
    elif [ -d "$path" ]; then
        mkdir -p "$new/$name"
        case $name in etc|usr) mount --bind "$path" "$new/$name" ;;
        *) mount --rbind "/$name" "$new/$name" ;;
        esac
    else
        : >"$new/$name"
    fi
done
over() { [ ! -e "$1" ] || mount --bind "$1" "$new$2"; }
over "$(readlink -f /etc/resolv.conf)" /etc/resolv.conf
for name in hosts passwd group; do over "/etc/$name" "/etc/$name"; done
over "$certificates" /etc/ssl/certs/ca-certificates.crt
# Kernel headers and modules that the machine has, beside those of the root.
for path in /usr/src/* /lib/modules/* /usr/lib/linux-kbuild-*; do
    [ -d "$path" ] && [ ! -L "$path" ] || continue
    case $path in /lib/*) place=$tools/usr$path ;; *) place=$tools$path ;; esac
    mkdir -p "$place"
    [ -z "$(ls -A "$place")" ] && mount --rbind "$path" "$new${place#"$tools"}"
done
cd "$new"
pivot_root . .
umount -l .
cd "$folder"
exec "$@"
"""


def root() -> Path:
    """The folder that the tools' packages are unpacked into."""
    return cache.root() / "tools/root"


def apt() -> debian.Apt:
    """The apt that fetches them."""
    return debian.Apt(cache.root() / "tools/apt")


def _state() -> Path:
    return cache.root() / "tools/state.json"


def _load() -> dict[str, dict[str, str]]:
    """What the root has: versions by package, and which requests are complete."""
    try:
        state: dict[str, dict[str, str]] = json.loads(_state().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        state = {"packages": {}, "complete": {}}
    return state


def _save(state: dict[str, dict[str, str]]) -> None:
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
    if not INSIDE.exists():
        _check_machine()
    with _locked():
        wanted = missing(*sets)
        if not wanted:
            return
        ours, state = apt(), _load()
        ours.update()
        names = sorted({name for each in (*wanted, *state["complete"]) if each in SETS
                        for name in SETS[each]})
        _unpack(state, ours.plan(*names), lambda step: ours.download(step, *names), ", ".join(wanted))
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


def _locked():  # type: ignore[no-untyped-def]
    return cache.lock(cache.root() / "tools/.lock", "the tools are being unpacked")


def _unpack(state, debs, download, what: str) -> None:  # type: ignore[no-untyped-def]
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
    (top / MARK).touch()
    subprocess.run(namespace(["/usr/sbin/ldconfig"]), check=True) if not INSIDE.exists() else \
        subprocess.run(["/usr/sbin/ldconfig"], check=True)


def _check_machine() -> None:
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


def namespace(command: list[str]) -> list[str]:
    """The command line that runs `command` inside the root, in the current folder."""
    mount_point = cache.root() / "tools/mnt"
    with writing(mount_point):
        mount_point.mkdir(parents=True, exist_ok=True)
    paths = ssl.get_default_verify_paths()
    certificates = os.environ.get("SSL_CERT_FILE") or paths.cafile or paths.openssl_cafile
    return [*_unshare(), "sh", "-c", ENTER, "vmxscope", str(mount_point), str(root()),
            os.path.realpath(certificates), os.getcwd(), *command]


def environment() -> dict[str, str]:
    """The environment inside: the machine's, less what names its tools, homes and caches."""
    drop = ("CARGO_", "RUST", "PYTHON", "PYENV", "LD_", "GCC_", "LLVM", "XDG_", "MAKE", "MFLAGS")
    keep = ("CARGO_REGISTR", "CARGO_HTTP", "CARGO_NET", "RUST_BACKTRACE")
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
        "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
        "LC_ALL": "C.UTF-8",
    }


def _cargo_settings(home: Path) -> None:
    """Which registry cargo asks is the machine's own setting."""
    theirs = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo", "config.toml")
    if theirs.is_file() and not (home / "config.toml").exists():
        shutil.copyfile(theirs, home / "config.toml")


def enter(*sets: str) -> None:
    """Go on inside the root, with these sets of tools there.

    Outside it, this replaces the process by the same program inside, and does
    not return.
    """
    install(*sets)
    if INSIDE.exists():
        return
    program = [sys.argv[0] if os.path.isabs(sys.argv[0]) else os.path.abspath(sys.argv[0])]
    command = namespace(["/usr/bin/python3", *program, *sys.argv[1:]])
    sys.stdout.flush()
    sys.stderr.flush()
    os.execvpe(command[0], command, environment())


__all__ = ["REPO", "apt", "enter", "install", "install_exact", "missing", "root", "versions"]
