# SPDX-License-Identifier: GPL-2.0
"""Why the figures are as they are, in words that quote them."""

from __future__ import annotations

# Bytes of a vCPU's counters and histograms, of which those are read that have a figure.
A_VCPU = 5_632 + 16_448


def missed(methods: dict[str, dict]) -> str:
    """What the methods do not see; only of those that ran."""
    said = []
    if "course" in methods:
        said.append(
            "The course's method does not see exits that KVM handles before vmx_handle_exit() "
            "and enters the guest again for (the fastpath: WRMSR to the x2APIC's interrupt "
            "command, the deadline timer). Its atomics cost next to nothing here, where "
            "nobody contends for them: see `shared` below.")
    if "tracepoints" in methods:
        said.append(
            "Tracing keeps what fits in the buffer, of the size that the kernel gives it; "
            "older events are overwritten.")
    if {"bpf", "perf"} & methods.keys():
        said.append(
            "The BPF counter and perf count an exit when the guest is entered again, so the "
            "last one is missing.")
    return " ".join(said) + "\n" if said else ""


def designs(part: dict) -> str:
    """Why targets are met or not, and what other designs gave."""
    one = {name: figures["ratio"] for name, figures in part["side_by_side"]["1"].items()}
    two = part["side_by_side"].get("2")
    counted = part["instructions"] if isinstance(part["instructions"], dict) else {}
    said = []
    if counted:
        said.append(
            f"Ours executes {counted['ours'] - counted['floor']:.0f} instructions more than the "
            f"floor and takes {one['ours']:.2f} times as long; histograms add "
            f"{counted['histograms'] - counted['ours']:.0f} more, and take it to "
            f"{one['histograms']:.2f}. It is not their number that counts.")
    said.append(
        f"On this CPU RDTSC waits for the loads before it: three loads, each of which needs "
        f"the one before, cost {one['loads']:.2f} times the floor, the same three by themselves "
        f"{one['apart']:.2f}, and ten multiplications in a row, which take longer, "
        f"{one['chain']:.2f}. A load whose address depends on the time just read cannot be "
        "hidden. Ours has two in a row: the mark of the group of buckets, and the bucket.")
    said.append(
        f"What was tried: one such load and 43.5 KiB a vCPU (`flat`) {one['flat']:.2f}; one, and "
        f"16 KiB with fewer buckets (`narrow`) {one['narrow']:.2f}, whose limits lengthen the "
        f"way to it; marks that are loaded beforehand (`word`) {one['word']:.2f}, against "
        f"{one['lines']:.2f} of the same with ours (`lines`); the bucket of the exit before "
        f"(`deferred`) {one['deferred']:.2f}; a ring that is sorted in every 32 exits "
        f"(`ring`) {one['ring']:.2f}; no call (`inlined`) {one['inlined']:.2f}. Without "
        f"histograms: smallest and largest cost {one['jumps'] - one['adds']:.2f} by jumps and "
        f"{one['branchless'] - one['adds']:.2f} without. These designs know nothing of nested "
        "guests, scheduling and the switch, so they are bounds, not offers.")
    if two:
        said.append(
            f"With two threads ours is at {two['ours']['ratio']:.2f} and "
            f"{two['histograms']['ratio']:.2f}; shared atomics are at "
            f"{two['shared']['ratio']:.2f}, after {one['shared']:.2f} with one.")
    return "\n\n".join(said) + "\n"


def reading(times: dict[str, dict[str, float]]) -> str:
    """What reading's growth comes from, and what was tried."""
    warm, cold = times["read_histograms_least"], times["read_cold_least"]

    def growth(one: dict[str, float], few: str) -> float:
        return one["4096"] / one[few]

    return (f"All of 4,096 vCPUs, {4096 * A_VCPU / 2**20:.0f} MiB of tables, take "
            f"{warm['4096'] / 1e6:.1f} ms, or {cold['4096'] / 1e6:.1f} ms if they were not "
            f"read before. Cold, that is {growth(cold, '1024'):.1f} times 1,024's and "
            f"{growth(cold, '1'):,.0f} times one's. Warm it is {growth(warm, '1024'):.1f} and "
            f"{growth(warm, '1'):,.0f} times: one vCPU's tables, read over and over, stay in the "
            "nearest cache, and those of thousands are in none. Each table is gone through "
            "once, and the work for each is the same.\n\n"
            f"What was tried for 4,096, cold: asking for the next vCPU's lines beforehand "
            f"{times['read_prefetched_least']['4096'] / 1e6:.1f} ms; all counters first, then "
            f"all histograms {times['read_apart_least']['4096'] / 1e6:.1f} ms.\n")
