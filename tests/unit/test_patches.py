# SPDX-License-Identifier: GPL-2.0
"""The series differ only in what the kernels call differently."""

import re

import pytest

from vmxlab import series

# 6.12's name of each thing, and 7.3's.
OTHER_NAMES = {
    "EXPORT_SYMBOL_GPL(": "EXPORT_SYMBOL_FOR_KVM_INTERNAL(",
    "vmx->exit_reason.full": "vmx->vt.exit_reason.full",
    "7.37 KVM_CAP": "7.48 KVM_CAP",
    "kzalloc(sizeof(*all), ": "kzalloc_obj(*all, ",
    "TEST_GEN_PROGS_x86_64 ": "TEST_GEN_PROGS_x86 ",
}
# A line of 7.3's that diff shows as added, since it equals one that is.
ARTEFACT = "+\t.gmem_max_mapping_level = vt_op_tdx_only(gmem_max_mapping_level),"


def added(patch: str) -> list[str]:
    """The lines that a patch adds."""
    return [line for line in patch.splitlines() if re.match(r"\+(?!\+\+ )", line)]


def message(patch: str) -> str:
    """What a patch says of itself."""
    return re.split(r"^---$", patch, flags=re.M)[0]


@pytest.mark.parametrize("number", range(1, series.COURSE + 1))
def test_a_patch_says_and_adds_the_same_in_both_series(number: int) -> None:
    older, newer = (next(path for path in series.patches(kernel)
                         if path.name.startswith(f"{number:04}-")) for kernel in ("6.12", "7.3"))
    assert older.name == newer.name
    first, second = older.read_text(encoding="utf-8"), newer.read_text(encoding="utf-8")
    assert message(first) == message(second)
    lines = "\n".join(added(first))
    for name, other in OTHER_NAMES.items():
        lines = lines.replace(name, other)
    found = [line for line in added(second) if number != 3 or line != ARTEFACT]
    assert lines.splitlines() == found
