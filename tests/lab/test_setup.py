# SPDX-License-Identifier: GPL-2.0
"""scripts/setup on machines with nothing prepared: fresh roots of Debian 12 and 13."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from vmxlab import REPO, tools

# A Debian 12 that has what breaks its own qemu-system-common: qemu-utils of backports.
EXTRA = {"bookworm": "qemu-utils"}
USER = 1000
NO_SPACE_MB = 40

# $1: the root; $2: the checkout; $3: how to enter the root; the rest is run as root in it.
BOOT = r"""
set -e
top=$1 checkout=$2 way=$3
shift 3
mount --rbind "$top" "$top"
for name in proc sys dev; do mount --rbind "/$name" "$top/$name"; done
mount --bind "$checkout" "$top/checkout"
mount --bind "$(readlink -f /etc/resolv.conf)" "$top/etc/resolv.conf"
mount --bind /etc/ssl/certs/ca-certificates.crt "$top/etc/certificates"
cd "$top"
if [ "$way" = chroot ]; then exec chroot . "$@"; fi
PATH=/usr/sbin:/usr/bin:/sbin:/bin
pivot_root . .
umount -l .
exec "$@"
"""


@dataclass
class Machine:
    """A root of a Debian release, in which commands are run as on a machine of its own."""

    top: Path
    checkout: Path

    def command(self, *words: str, user: int = 0, way: str = "pivot",
                net: bool = True) -> list[str]:
        """The command line that runs `words` in it, as that user."""
        unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        unshare += [] if net else ["--net"]
        who = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups",
               "--no-new-privs"] if user else []
        admin = "/usr/sbin:/sbin" if not user else ""
        environment = [
            "env", "-i", f"PATH=/root/.cargo/bin:/usr/bin:/bin:{admin}",
            f"HOME={'/home/user' if user else '/root'}", "SSL_CERT_FILE=/etc/certificates",
            *[f"{k}={v}" for k, v in os.environ.items() if k.lower().endswith("_proxy")],
        ]
        return [*unshare, "sh", "-c", BOOT, "sh", str(self.top), str(self.checkout), way,
                *who, *environment, *words]

    def run(self, *words: str, user: int = 0, way: str = "pivot",
            net: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(self.command(*words, user=user, way=way, net=net),
                              capture_output=True, text=True, check=False)

    def state(self) -> dict[str, tuple[int, int]]:
        """Every file but those of the cache and of /tmp: its size and when it was changed."""
        found = {}
        for path in self.top.rglob("*"):
            name = str(path.relative_to(self.top))
            if not name.startswith(("cache", "home/user/.cache", "tmp", "checkout")):
                info = path.lstat()
                if not path.is_dir() or path.is_symlink():
                    found[name] = (info.st_size, info.st_ctime_ns)
        return found


def make_machine(release: str, tmp: Path) -> Machine:
    """Bootstrap a release with what the README asks for, and with traps for what it does not."""
    # The archive that the private tools themselves came from.
    kept = (tools.apt().home / "debian.sources").read_text(encoding="utf-8")
    main, security, *_ = [*re.findall(r"^URIs: (\S+)", kept, re.M), ""]
    sources = [f"deb {main} {name} main" for name in (release, f"{release}-updates")]
    sources += [f"deb {security} {release}-security main"] if security else []
    command = ["mmdebstrap", "--mode=root", "--variant=apt", "--include=git,make,python3,mount"]
    if extra := EXTRA.get(release):
        sources.append(f"deb {main} {release}-backports main")
        command.append(f'--customize-hook=chroot "$1" apt-get install -qy --no-install-recommends '
                       f"-t {release}-backports {extra}")
        command.append("--skip=cleanup/apt/lists")
    top = tmp / release
    subprocess.run([*command, release, top, *sources], check=True, capture_output=True)
    for name in ("checkout", "cache", "home/user", "root/.cargo/bin"):
        (top / name).mkdir(parents=True, exist_ok=True)
    (top / "etc/certificates").touch()
    os.chown(top / "home/user", USER, USER)
    # What rustup puts first in PATH must not be used.
    for name in ("rustc", "cargo"):
        trap = top / "root/.cargo/bin" / name
        trap.write_text("#!/bin/sh\necho rustup was called >&2\nexit 99\n", encoding="ascii")
        trap.chmod(0o755)
    return Machine(top, REPO)


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def machine(request: pytest.FixtureRequest,
            tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine of each release. It takes root to make one: CI has it."""
    if os.environ.get("VMXSCOPE_UID", "0") != "0":
        pytest.skip("a machine cannot be made without root")
    made = make_machine(request.param, tmp_path_factory.mktemp("machines"))
    yield made
    # With its private tools it takes gigabytes.
    subprocess.run(["rm", "-rf", "--one-file-system", made.top], check=True)


def test_a_user_without_root_sets_it_up_and_nothing_else_changes(machine: Machine) -> None:
    before = machine.state()
    first = machine.run("make", "-s", "-C", "/checkout", "setup", user=USER)
    assert first.returncode == 0, first.stderr
    used = machine.run("/checkout/scripts/inside", "sh", "-c",
                       "command -v rustc && rustc --version && cc --version && bochs --help 2>&1",
                       user=USER)
    assert used.returncode == 0, used.stderr
    assert "/usr/bin/rustc\nrustc 1.85" in used.stdout
    assert "Bochs x86 Emulator 3" in used.stdout
    second = machine.run("/checkout/scripts/setup", user=USER)
    assert "Fetching" not in second.stderr and second.returncode == 0
    assert machine.state() == before


def test_an_interrupted_download_is_completed_by_the_next_run(machine: Machine) -> None:
    if machine.top.name == "bookworm":
        pytest.skip("once is enough: on trixie")
    archives = machine.top / "cache/tools/apt/cache/archives"
    command = machine.command("env", "VMXSCOPE_CACHE=/cache", "/checkout/scripts/setup")
    with subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE,
                          text=True) as process:
        while len(fetched := list(archives.glob("*.deb"))) < 60:
            assert process.poll() is None, process.stderr and process.stderr.read()
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    kept = {path.name: path.stat().st_ctime_ns for path in fetched if path.exists()}
    assert len(kept) >= 60
    left = machine.run("env", "VMXSCOPE_CACHE=/cache", "/checkout/scripts/setup", "--check")
    assert (left.returncode, left.stdout) == (1, "missing: the tools for lab\n")
    again = machine.run("env", "VMXSCOPE_CACHE=/cache", "/checkout/scripts/setup")
    assert again.returncode == 0, again.stderr
    used = machine.run("env", "VMXSCOPE_CACHE=/cache", "/checkout/scripts/inside", "gcc",
                       "--version")
    assert used.stdout.startswith("gcc (Debian 14"), used.stderr
    assert not list(archives.glob("*.deb")), "no package file is kept beside what was in it"


def expect(done: subprocess.CompletedProcess[str], status: int, *said: str) -> None:
    """The status, and words of the message; no traceback."""
    assert done.returncode == status, (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr
    for text in said:
        assert text in done.stderr


def test_without_network_it_names_the_archive_and_ends_with_5(machine: Machine) -> None:
    done = machine.run("env", "VMXSCOPE_CACHE=/tmp/offline", "/checkout/scripts/setup", net=False)
    expect(done, 5, "apt-get update", "Check the network")


def test_without_space_it_ends_with_8(machine: Machine) -> None:
    script = (f"mkdir -p /tmp/small && mount -t tmpfs -o size={NO_SPACE_MB}m tmpfs /tmp/small && "
              "VMXSCOPE_CACHE=/tmp/small exec /checkout/scripts/setup")
    expect(machine.run("sh", "-c", script), 8, "the disk that holds /tmp/small", "is full",
           "VMXSCOPE_CACHE")


def test_a_cache_that_cannot_be_written_ends_with_8(machine: Machine) -> None:
    done = machine.run("env", "VMXSCOPE_CACHE=/usr/cache", "/checkout/scripts/setup", user=USER)
    expect(done, 8, "cannot write to /usr/cache", "VMXSCOPE_CACHE")


def test_a_list_whose_signature_is_wrong_ends_with_6(machine: Machine) -> None:
    # The real archive's lists, of which one was changed after it had been signed.
    script = """set -e
    main=$(sed -n 's/^deb \\(\\[.*\\] \\)*\\([^ ]*\\) .*/\\2/p' /etc/apt/sources.list | head -n 1)
    mkdir -p /tmp/mirror/dists/trixie
    python3 - "$main/dists/trixie/InRelease" <<'END'
import sys, urllib.request
text = urllib.request.urlopen(sys.argv[1]).read().replace(b"Suite: stable", b"Suite: stabile")
open("/tmp/mirror/dists/trixie/InRelease", "wb").write(text)
END
    for name in trixie-updates trixie-backports bookworm; do
        cp -r /tmp/mirror/dists/trixie /tmp/mirror/dists/$name
    done
    VMXSCOPE_MIRROR=file:///tmp/mirror VMXSCOPE_CACHE=/tmp/unsigned exec /checkout/scripts/setup
    """
    expect(machine.run("sh", "-c", script), 6, "cannot be trusted", "VMXSCOPE_MIRROR")


def test_neither_root_nor_namespaces_ends_with_4(machine: Machine) -> None:
    # The kernel allows no user namespace to a program in a chroot.
    done = machine.run("env", "VMXSCOPE_CACHE=/home/user/denied", "/checkout/scripts/setup",
                       user=USER, way="chroot")
    expect(done, 4, "neither root nor may use user namespaces", "user.max_user_namespaces")
    assert not (machine.top / "home/user/denied").exists()


def test_what_the_machine_lacks_is_named_with_status_3(machine: Machine) -> None:
    done = machine.run("sh", "-c", "mount -t tmpfs tmpfs /usr/share/keyrings && "
                       "VMXSCOPE_CACHE=/tmp/no-keys exec /checkout/scripts/setup")
    expect(done, 3, "debian-archive-keyring")
    done = machine.run("sh", "-c", "mkdir /tmp/bin && ln -s /usr/bin/env /usr/bin/python3 "
                       "/usr/bin/git /tmp/bin && PATH=/tmp/bin VMXSCOPE_CACHE=/tmp/less "
                       "exec /checkout/scripts/setup")
    expect(done, 3, "this machine lacks", "apt-get")


def test_wrong_usage_ends_with_64(machine: Machine) -> None:
    expect(machine.run("/checkout/scripts/setup", "kitchen"), 64, "there is no set 'kitchen'")
