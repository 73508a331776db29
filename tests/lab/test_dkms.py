# SPDX-License-Identifier: GPL-2.0
"""The package of the modules, installed on fresh Debians, and what DKMS built there."""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from conftest import Lab
from test_setup import make_machine
from vmxlab import REPO, kernel, kvm, views

# What is installed as on a machine that runs its release's default kernel, and the base
# of the lab that is this kernel.
RELEASES = {"bookworm": "debian-6.1", "trixie": "debian-6.12"}
pytestmark = pytest.mark.matrix

# The nested guest runs already when the module comes, as in the demo.
L1 = """\
load-kvm || exit
guest &
guest=$!
until grep -q ^runs /run/guest/l2.status 2>/dev/null; do
	kill -0 $guest || exit
	sleep 0.2
done
insmod /lab/dkms/vmx_exits.ko || exit
wait $guest || exit
rmmod vmx_exits && insmod /lab/dkms/vmx_caps.ko || exit
dmesg | sed -n 's/^.*vmx_caps: //p' >/out/caps
"""
L2 = """\
echo runs >/dev/vport0p1
until /lab/vmxscope exits >/dev/null 2>&1; do sleep 0.2; done
/lab/vmxscope exits | cat  # Without colours.
"""


def plain(built: Path, to: Path) -> Path:
    """A module that DKMS installed, not compressed."""
    path = to / f"{built.name.split('.ko')[0]}.ko"
    if built.suffix == ".xz":
        with path.open("wb") as output:
            subprocess.run(["xz", "-dc", built], stdout=output, check=True)
    else:
        shutil.copyfile(built, path)
    return path


@pytest.mark.parametrize("release", RELEASES)
def test_it_builds_on_a_fresh_debian_and_is_loaded_into_that_debians_kernel(
    lab: Lab, vmxscope: Path, tmp_path: Path, release: str
) -> None:
    if os.environ.get("VMXSCOPE_UID", "0") != "0":
        pytest.skip("a machine cannot be made without root")
    machine = make_machine(release, tmp_path)
    subprocess.run([REPO / "scripts/build-deb", "dkms", machine.top / "tmp"], check=True,
                   capture_output=True)
    install = ("apt-get", "install", "-qy", "--no-install-recommends")
    assert machine.run("apt-get", "update").returncode == 0
    ready = machine.run(*install, "dkms", "linux-headers-amd64")
    assert ready.returncode == 0, ready.stdout[-3000:] + ready.stderr[-3000:]
    (package,) = machine.top.glob("tmp/*.deb")
    began, before = time.monotonic(), os.times()
    done = machine.run(*install, f"/tmp/{package.name}")
    seconds, after = time.monotonic() - began, os.times()
    worked = sum(after[2:4]) - sum(before[2:4])  # Of children: in user space, in the kernel.
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    base = kernel.base(RELEASES[release])
    print(f"{release}: apt-get install of the package took {seconds:.1f} s, and "
          f"{worked:.1f} s of CPU time, for {base.version}")
    installed = machine.top / "lib/modules" / base.version / "updates/dkms"
    modules = [plain(path, tmp_path) for path in sorted(installed.iterdir())]
    assert [path.name for path in modules] == ["vmx_caps.ko", "vmx_exits.ko"]
    words = [word for path in modules for word in ("--add", f"{path}:lab/dkms/{path.name}")]
    run = lab.run("--base", base.name, "--kvm-modules", "stock", "--timeout", 900, *words,
                  "--add-guest", f"{vmxscope}:lab/vmxscope", l1=L1, l2=L2)
    assert run.status == 0, run.l1 + run.l2 + run.stderr
    assert re.search(r"^ *\d+ +CPUID ", run.l2, re.M), run.l2
    assert re.search(r"^ +All exits ", run.l2, re.M), run.l2
    assert "VMX is usable" in run.file("caps")


# A kernel that enforces signatures has modules of KVM that its key signed.
SIGNED_L1 = """\
for name in $(cat /lab/signed/order); do insmod "/lab/signed/$name" || exit; done
cat /sys/module/module/parameters/sig_enforce >/out/enforced
insmod /lab/modules/vmx_exits.ko 2>/out/unsigned && exit 1
insmod /lab/dkms/vmx_exits.ko || exit
cat /sys/kernel/debug/vmx_exits/exit_stats_raw >/out/table
rmmod vmx_exits && insmod /lab/dkms/vmx_caps.ko || exit
cat /proc/sys/kernel/tainted >/out/tainted
"""
UNSIGNED = 1 << 13  # Of the kernel's taint: a module without a signature was loaded.


def test_a_kernel_that_enforces_signatures_takes_what_dkms_has_signed_and_nothing_else(
    lab: Lab, tmp_path: Path
) -> None:
    base = kernel.base("signed-6.12")
    sign, key = base.headers / "scripts/sign-file", base.headers / "certs/signing_key.pem"
    certificate = key.with_suffix(".x509")
    # As docs/vmx_exits.md says, but for the place of sign-file, which has no package here.
    framework = tmp_path / "framework.conf"
    framework.write_text(f"sign_file={sign}\nmok_signing_key={key}\n"
                         f"mok_certificate={certificate}\n", encoding="utf-8")
    built = build_by_dkms(framework, base, tmp_path)
    words = [word for path in built for word in ("--add", f"{path}:lab/dkms/{path.name}")]
    order = []
    for module in kvm.modules(base, "stock").modules:
        if module.name != "kvm-amd.ko":
            order.append(module.name)
            subprocess.run([sign, "sha256", key, certificate, module, tmp_path / module.name],
                           check=True)
            words += ["--add", f"{tmp_path / module.name}:lab/signed/{module.name}"]
    (tmp_path / "order").write_text("\n".join(order) + "\n", encoding="ascii")
    run = lab.run("--base", base.name, "--kvm-modules", "stock", "--append",
                  "module.sig_enforce=1", "--add", f"{tmp_path / 'order'}:lab/signed/order",
                  *words, l1=SIGNED_L1)
    assert run.status == 0, run.l1 + run.stderr
    assert run.file("enforced") == "Y\n"
    assert "Key was rejected by service" in run.file("unsigned")
    assert views.table(run.file("table"))[views.TOTAL]["exits"] == 0
    assert not int(run.file("tainted")) & UNSIGNED


def build_by_dkms(framework: Path, base: kernel.Base, top: Path) -> list[Path]:
    """What DKMS, configured by `framework`, makes of the package for a kernel of the lab."""
    package = subprocess.run([REPO / "scripts/build-deb", "dkms", top], check=True,
                             capture_output=True, text=True).stdout.strip()
    subprocess.run(["dpkg-deb", "-x", package, top / "tree"], check=True)
    (source,) = (top / "tree/usr/src").iterdir()
    (top / "dkms").mkdir()
    module = ("-m", "vmxscope", "-v", source.name.removeprefix("vmxscope-"),
              "--dkmstree", top / "dkms", "--sourcetree", source.parent, "--installtree",
              top / "lib")
    for words in (("add", *module),
                  ("build", *module, "-k", base.version, "--kernelsourcedir", base.headers)):
        # Its configuration has one place, which is this file while it runs.
        done = subprocess.run(["unshare", "--mount", "sh", "-c",
                               'mount --bind "$0" /etc/dkms/framework.conf && exec dkms "$@"',
                               framework, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return [plain(path, top) for path in sorted((top / "dkms").rglob("*.ko*"))]
