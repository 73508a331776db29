# SPDX-License-Identifier: GPL-2.0
"""What `make kvm` and `make module` build, with which options, and that nothing warns."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import REPO
from vmxlab import kernel, kvm
from vmxlab.series import tree as patching

# What a configuration changes, by name. These are of whole kernels, with the series in
# the tree; of each only KVM's folder is built.
CHANGES = {
    "off": ["-d", "KVM_EXIT_STATS"],
    "built-in": ["-e", "KVM", "-e", "KVM_INTEL", "-e", "KVM_AMD"],
    "hyper-v": ["-e", "HYPERV", "-e", "KVM_HYPERV"],
    "no-smm": ["-d", "KVM_SMM"],
    "tdx": ["-e", "INTEL_TDX_HOST", "-e", "KVM_INTEL_TDX"],
    "no-debugfs": ["-d", "DEBUG_FS"],
    "no-tracepoints": ["-d", "FTRACE"],
}


@pytest.fixture(scope="module", params=["6.12", "7.3"])
def tree(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A copy of a small kernel's built tree, with the series applied."""
    made = tmp_path_factory.mktemp("build") / "linux"
    base = kernel.base(f"small-{request.param}")
    subprocess.run(["cp", "-a", "--reflink=auto", base.headers, made], check=True)
    patching.apply(made)
    yield made
    shutil.rmtree(made)


def warnings(said: str) -> list[str]:
    """What the compilers and objtool warned of in files of ours."""
    pattern = r"^.*exit_stats.*(?:warning|error).*$|^warning.*\n.*-->.*exit_stats.*$"
    return re.findall(pattern, said, re.M)


@pytest.mark.matrix
def test_make_kvm_builds_in_a_tree_only_kvms_modules(tree: Path) -> None:
    image = (tree / "arch/x86/boot/bzImage").stat().st_mtime_ns
    done = subprocess.run(["make", "-s", "kvm", f"KDIR={tree}"], cwd=REPO, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert f"insmod {tree}/arch/x86/kvm/kvm-intel.ko" in done.stdout
    symbols = subprocess.run(["nm", tree / kvm.KVM / "kvm.ko"], check=True, capture_output=True,
                             text=True).stdout
    assert " T exit_stats_handled" in symbols
    config = (tree / ".config").read_text(encoding="utf-8").splitlines()
    assert "CONFIG_KVM_EXIT_STATS=y" in config and "CONFIG_RUST=y" not in config
    assert (tree / "arch/x86/boot/bzImage").stat().st_mtime_ns == image


@pytest.mark.matrix
@pytest.mark.parametrize("name", CHANGES)
def test_it_builds_in_the_tree_with_each_configuration(tree: Path, name: str) -> None:
    config, kept = tree / ".config", tree / ".config.kept"
    shutil.copy(config, kept)
    try:
        command = ["scripts/config", "-e", "KVM_EXIT_STATS", *CHANGES[name]]
        subprocess.run(command, cwd=tree, check=True)
        kernel.run_make(tree, "-s", "olddefconfig")
        now = set(config.read_text(encoding="utf-8").splitlines())
        wanted = re.findall(r"-([ed]) (\w+)", " ".join(CHANGES[name]))
        missed = [option for how, option in wanted
                  if how == "e" and f"CONFIG_{option}=y" not in now
                  or how == "d" and f"CONFIG_{option}=y" in now]
        if missed:
            pytest.skip(f"this kernel does not take {', '.join(missed)}")
        kernel.run_make(tree, "-s", "prepare")
        said = kernel.run_make(tree, "W=1", "arch/x86/kvm/")
        assert warnings(said) == []
        assert ("exit_stats" in said) == (name != "off")
    finally:
        shutil.copy(kept, config)
        kernel.run_make(tree, "-s", "olddefconfig")


def test_make_module_builds_it_against_a_tree_and_cleans_up(tmp_path: Path) -> None:
    clone, tree = tmp_path / "vmxscope", kernel.base("small-6.12").headers
    subprocess.run(["git", "clone", "-q", REPO, clone], check=True)
    clean = sorted(path.name for path in clone.iterdir())
    subprocess.run(["make", "-s", "module", f"KDIR={tree}"], cwd=clone, check=True,
                   capture_output=True)
    info = subprocess.run(["/usr/sbin/modinfo", clone / "vmx_caps.ko"], check=True,
                          capture_output=True, text=True).stdout
    assert re.search(r"^license: +GPL", info, re.M)
    assert re.search(r"^vermagic: +6\.12\.", info, re.M)
    subprocess.run(["make", "-s", "module-clean", f"KDIR={tree}"], cwd=clone, check=True,
                   capture_output=True)
    assert sorted(path.name for path in clone.iterdir()) == clean
