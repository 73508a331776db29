// SPDX-License-Identifier: GPL-2.0
//! The machine that this kernel runs on: its CPUs, as C lets them be read.

use core::arch::x86_64::__cpuid_count;
use core::marker::PhantomData;

use crate::cpus::Machine;

extern "C" {
    // src/shim.h
    fn vmx_caps_probe() -> bool;
    fn vmx_caps_cpus_read_lock();
    fn vmx_caps_cpus_read_unlock();
    fn vmx_caps_next_online_cpu(cpu: i32) -> i32;
    fn vmx_caps_rdmsr(cpu: u32, msr: u32, value: *mut u64) -> i32;
}

/// The module parameter `probe`.
pub(crate) fn probe() -> bool {
    // SAFETY: It reads a variable that is only written before the module's
    // init function runs, for the parameter's mode 0444 allows no more.
    unsafe { vmx_caps_probe() }
}

/// EAX, EBX, ECX and EDX of a CPUID leaf, from the CPU that runs this.
pub(crate) fn cpuid(leaf: u32, subleaf: u32) -> [u32; 4] {
    // Newer compilers know that this is safe on x86-64.
    #[allow(unused_unsafe)]
    // SAFETY: Every x86-64 CPU has the instruction, and a leaf that does not
    // exist gives values, not an exception.
    let regs = unsafe { __cpuid_count(leaf, subleaf) };
    [regs.eax, regs.ebx, regs.ecx, regs.edx]
}

/// The online CPUs, none of which can come or go while this value lives.
///
/// # Invariants
///
/// The CPU hotplug lock is held for reading by the thread that made the value,
/// and the value cannot be sent to another.
pub(crate) struct OnlineCpus(PhantomData<*const ()>);

impl OnlineCpus {
    /// Waits for a CPU hotplug operation to end and keeps off the next.
    pub(crate) fn lock() -> Self {
        // SAFETY: vmx_caps_report, the only caller, may sleep, and its callers
        // hold no lock that is taken in CPU hotplug.
        unsafe { vmx_caps_cpus_read_lock() };
        // INVARIANT: Just taken, and a raw pointer is not Send.
        Self(PhantomData)
    }
}

impl Drop for OnlineCpus {
    fn drop(&mut self) {
        // SAFETY: By the type invariant this thread holds the lock.
        unsafe { vmx_caps_cpus_read_unlock() };
    }
}

impl Machine for OnlineCpus {
    fn next_cpu(&self, after: Option<u32>) -> Option<u32> {
        let after = match after {
            Some(cpu) => i32::try_from(cpu).ok()?,
            None => -1,
        };
        // SAFETY: The mask of online CPUs does not change, by the type
        // invariant, and the number is -1 or that of a CPU.
        let next = unsafe { vmx_caps_next_online_cpu(after) };
        u32::try_from(next).ok()
    }

    fn read_msr(&self, cpu: u32, index: u32) -> Option<u64> {
        let mut value = 0;
        // SAFETY: The read is made through the exception table, so an MSR that
        // does not exist gives an error and nothing worse, as does a CPU that
        // does not exist; none of the MSRs that the tables name has side
        // effects when read; and `value` is valid for a write.
        let error = unsafe { vmx_caps_rdmsr(cpu, index, &mut value) };
        (error == 0).then_some(value)
    }
}
