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
from vmxlab import REPO, kernel

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
    began = time.monotonic()
    done = machine.run(*install, f"/tmp/{package.name}")
    seconds = time.monotonic() - began
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    base = kernel.base(RELEASES[release])
    print(f"{release}: apt-get install of the package took {seconds:.1f} s, for {base.version}")
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
