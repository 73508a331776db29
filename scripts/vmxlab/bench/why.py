# SPDX-License-Identifier: GPL-2.0
"""Why the figures are as they are, in words that quote them."""

from __future__ import annotations

from typing import Any

from .lab import Method

# Bytes of a vCPU's counters and histograms, of which those are read that have a figure;
# kvm-instrumentation/benches/read.rs does not compile if they change.
A_VCPU = 3_456 + 12_800


def missed(methods: dict[str, Method]) -> str:
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
    if {"bpf", "bpf-keys", "perf"} & methods.keys():
        said.append(
            "The BPF counter and perf count an exit when the guest is entered again, so the "
            "last one is missing.")
    return " ".join(said) + "\n" if said else ""


def designs(part: dict[str, Any]) -> str:
    """Why targets are met or not, and what other designs gave."""
    one = {name: figures["ratio"] for name, figures in part["side_by_side"]["1"].items()}
    two = part["side_by_side"].get("2")
    counted = part["instructions"] if isinstance(part["instructions"], dict) else {}
    said = []
    if counted:
        plain, hist = counted["ours"] - counted["floor"], counted["histograms"] - counted["ours"]
        said.append(
            f"Without histograms ours executes {plain:.0f} instructions more than the floor and "
            f"takes {one['ours']:.3f} times as long; `apart`, which does nothing of use, executes "
            f"{counted['apart'] - counted['floor']:.0f} more and takes {one['apart']:.3f} times. "
            f"Histograms add {hist:.0f} more, and take it to {one['histograms']:.3f}.")
    said.append(
        f"What a CPU hides behind its RDTSC differs: here three loads, each of which needs the "
        f"one before, cost {one['loads']:.3f} times the floor, the same three by themselves "
        f"{one['apart']:.3f}, and ten multiplications in a row, which take longer, "
        f"{one['chain']:.3f}. The address of the bucket that ours raises depends on the time "
        "just read, as in `flat`, so it is not known before.")
    said.append(
        f"What was tried: 43.5 KiB a vCPU (`flat`) {one['flat']:.3f}; 16 KiB with fewer buckets "
        f"(`narrow`) {one['narrow']:.3f}; lines of buckets that are handed out (`lines`) "
        f"{one['lines']:.3f}, and with marks that are loaded beforehand (`word`) "
        f"{one['word']:.3f}; the bucket of the exit before "
        f"(`deferred`) {one['deferred']:.3f}; a ring that is sorted in every 32 exits "
        f"(`ring`) {one['ring']:.3f}, which readers would have to go through as well; no call "
        f"(`inlined`) {one['inlined']:.3f}. Without histograms: smallest and largest cost "
        f"{one['jumps'] - one['adds']:.3f} by jumps and "
        f"{one['branchless'] - one['adds']:.3f} without. These designs know nothing of nested "
        "guests, scheduling and the switch, so they are bounds, not offers.")
    if two:
        said.append(
            f"With two threads ours is at {two['ours']['ratio']:.3f} and "
            f"{two['histograms']['ratio']:.3f}; shared atomics are at "
            f"{two['shared']['ratio']:.3f}, after {one['shared']:.3f} with one.")
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
            f"{growth(warm, '1'):,.0f} times: the fewer the tables, the nearer the cache in which "
            "they are found again. Each table is gone through "
            "once, and the work for each is the same.\n\n"
            f"What was tried for 4,096, cold: asking for the next vCPU's lines beforehand "
            f"{times['read_prefetched_least']['4096'] / 1e6:.1f} ms.\n")
