# SPDX-License-Identifier: GPL-2.0
"""KVM's modules built against Debian's headers: that nothing warns, is missing, or is mixed."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import Lab, MakeKvm
from vmxlab import kernel, kvm, series, source
from vmxlab.errors import LabError

BASES = ["debian-6.12", "debian-7.3"]


def symbols(path: Path) -> dict[str, str]:
    """The checksum of each symbol that a Module.symvers has."""
    fields = (line.split("\t") for line in path.read_text(encoding="ascii").splitlines())
    return {name: crc for crc, name, *_ in fields}


def imports(module: Path) -> dict[str, str]:
    """The checksum of each symbol that a module was built with; without them, none."""
    said = subprocess.run(["modprobe", "--dump-modversions", module], capture_output=True,
                          text=True, check=False).stdout
    return {name: crc for crc, name in (line.split() for line in said.splitlines())}


@pytest.mark.parametrize("name", BASES)
def test_make_kvm_builds_without_a_warning_and_every_import_is_there(
    make_kvm: MakeKvm, name: str
) -> None:
    base, made = kernel.base(name), make_kvm.folder(name)
    assert f"insmod {made}/kvm-intel.ko" in (made / "said").read_text(encoding="utf-8")
    folder = made / "linux" / kvm.KVM
    said = (made / "make.log").read_text(encoding="utf-8")
    # objtool's lines and the compilers' name what they warn of; modpost an undefined symbol.
    assert re.findall(r"^.*(?:warning|error|undefined).*$", said, re.M | re.I) == []
    assert "CLIPPY" in said and (folder / "exit_stats/exit_stats.o").exists()
    there = symbols(base.headers / "Module.symvers") | symbols(folder / "Module.symvers")
    modversions = "CONFIG_MODVERSIONS=y" in (base.headers / ".config").read_text().splitlines()
    for module in kvm.NAMES:
        crcs = imports(folder / f"{module}.ko")
        assert bool(crcs) == modversions
        assert (made / f"{module}.ko").exists()
        assert {n: c for n, c in crcs.items() if int(there[n], 16) != int(c, 16)} == {}


def test_sources_of_another_version_than_the_headers_are_refused(tmp_path: Path) -> None:
    base = kernel.base("debian-6.12")
    sources = tmp_path / "sources"
    source.unpack(source.tarball("6.12"), sources, "Makefile", kvm.KVM, "virt/kvm")
    makefile = sources / "Makefile"
    text = re.sub(r"^SUBLEVEL = .*$", "SUBLEVEL = 95", makefile.read_text(), flags=re.M)
    makefile.write_text(text)
    own = kvm.headers_version(base.headers)
    with pytest.raises(LabError) as refused:
        kvm.build(base.headers, sources, "stock", tmp_path / "out")
    assert own in str(refused.value) and "6.12.95" in str(refused.value)
    assert refused.value.status == kvm.UNUSABLE


def test_a_tarball_that_is_none_is_refused_and_left_where_it_is(tmp_path: Path) -> None:
    archive = tmp_path / "linux.tar.xz"
    archive.write_bytes(b"not an archive")
    with pytest.raises(LabError, match="cannot be unpacked"):
        kvm.prepare(archive, "stock", tmp_path / "linux")
    assert archive.exists()


def test_another_patch_can_be_built_in_the_place_of_the_series(tmp_path: Path) -> None:
    kvm.prepare(source.tarball("6.12"), "course", tmp_path / "linux")
    assert "course_exits" in (tmp_path / "linux" / kvm.KVM / "vmx/vmx.c").read_text()
    for file in series.new_files():
        assert not (tmp_path / "linux" / file.place).exists()
    with pytest.raises(LabError, match="there is no set 'nonsense'"):
        kvm.prepare(source.tarball("6.12"), "nonsense", tmp_path / "linux")


# 7.3 has no MODVERSIONS, so there only the names of symbols tell.
@pytest.mark.parametrize("name", BASES)
def test_modules_with_and_without_the_series_refuse_each_other(
    lab: Lab, make_kvm: MakeKvm, name: str, tmp_path: Path
) -> None:
    base = kernel.base(name)
    added, checks = [], ["rmmod kvm_intel kvm irqbypass 2>/dev/null"]
    stock = kvm.modules(base, "stock").modules
    made = sorted(make_kvm.folder(name).glob("*.ko"))
    for label, modules in (("stock", stock), ("patched", made)):
        for module in modules:
            copy = tmp_path / f"{label}-{module.name}"
            shutil.copy(module, copy)
            added += ["--add", f"{copy}:lab/{label}/{module.name}"]
    others = [m.name for m in stock if not m.name.startswith("kvm")]
    checks += [f"insmod /lab/stock/{module} || exit 10" for module in others]
    for own, other in (("stock", "patched"), ("patched", "stock")):
        checks += [f"insmod /lab/{own}/kvm.ko || exit 11"]
        checks += [f"insmod /lab/{other}/kvm-{vendor}.ko && exit 12" for vendor in ("intel", "amd")]
        # That the machine would take it otherwise.
        checks += [f"insmod /lab/{own}/kvm-intel.ko || exit 13", "rmmod kvm_intel kvm || exit 14"]
    run = lab.run("--base", name, *added, l1="\n".join([*checks, "dmesg | grep kvm", "exit 0"]))
    assert run.status == 0, run.l1
    if name == "debian-7.3":
        unknown = r"(kvm_intel|kvm_amd): Unknown symbol (kvm_x86_vendor_init\w*)"
        assert len(set(re.findall(unknown, run.l1))) == 4, run.l1
