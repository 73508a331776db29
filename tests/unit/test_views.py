# SPDX-License-Identifier: GPL-2.0
"""Views of a VM's exits are read as exit-stats.rst says that they are written."""

import pytest

from vmxlab import views
from vmxlab.errors import LabError

HEAD = "\t".join(("reason", "symbol", *views.FIELDS, "buckets")) + "\n"
TABLE = HEAD + """\
tsc_khz\t1800000
monotonic_ns\t4000000000
10\tCPUID\t3\t900\t200\t400\t0\t1\t2\t0\t7\t0\t5\t8:1,9:2
12\tHLT\t0\t0\t0\t0\t0\t0\t0\t0\t7\t0\t5\t-
65532\tBEYOND\t1\t50\t50\t50\t0\t0\t0\t0\t7\t0\t5\t6:1
65533\tEMULATED\t4\t0\t0\t0\t0\t0\t0\t0\t7\t0\t5\t-
65535\tTOTAL\t4\t950\t50\t400\t0\t1\t2\t0\t7\t0\t5\t-
"""


def test_a_table_has_figures_by_reason_and_only_exits_are_exits() -> None:
    table = views.table(TABLE)
    assert table[10] == {"exits": 3, "cycles": 900, "min": 200, "max": 400, "blocked": 0,
                         "user": 1, "l2": 2, "dropped": 0, "away": 7, "entry": 0, "guest": 5}
    assert table.clocks == {"tsc_khz": 1_800_000, "monotonic_ns": 4_000_000_000}
    assert table.buckets[10] == {8: 1, 9: 2} and table.buckets[12] == {}
    assert table.symbols[12] == "HLT"
    assert table[views.TOTAL]["exits"] == 4 and table[views.EMULATED]["exits"] == 4
    assert table.exits() == {10: 3, views.BEYOND: 1}


@pytest.mark.parametrize("text", [
    "", "reason\tsymbol\n", HEAD + "10\tCPUID\t3\n", HEAD + "10\n",
    HEAD + "tsc_khz\n", HEAD + "tsc_khz\tmany\n",
    TABLE.replace("8:1", "8"), TABLE.replace("900", "many"), TABLE.replace("CPUID", "CPUID\t1"),
])
def test_what_is_no_table_is_refused(text: str) -> None:
    with pytest.raises(LabError, match="exit_stats_raw"):
        views.table(text)


def test_a_guests_words_are_taken_apart_by_their_headings() -> None:
    said = views.parts('== boot\n{"reasons": [{"reason": 1, "name": "A", "exits": 5},\n'
                       '{"reason": 2, "name": "B", "exits": 0}]}\nexit 0\n== fork\nnothing\n')
    assert said.keys() == {"boot", "fork"} and said["fork"] == "nothing\n"
    one = views.view(said["boot"])
    assert views.names(one) == {1: "A", 2: "B"} and views.counts(one) == {1: 5}
    assert views.added({1: 5, 2: 3}, {1: 9, 2: 3, 4: 2}) == {1: 4, 4: 2}
