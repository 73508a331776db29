// SPDX-License-Identifier: GPL-2.0
//! The processor: CPUID, and on which CPU it is executed.

use std::cell::Cell;
use std::io;

use exit_stats::abi::Regs;
use exit_stats::reader::CpuidReader;
use rustix::thread::{sched_getaffinity, sched_setaffinity, CpuSet};

/// CPUs whose CPUID can be executed: this machine's, or a test's model of them.
pub trait Processor: CpuidReader {
    /// The CPUs on which this thread may run, ascending.
    fn cpus(&self) -> io::Result<Vec<usize>>;

    /// Keeps this thread on one CPU from now on.
    fn pin(&self, cpu: usize) -> io::Result<()>;

    /// Lets this thread, and what it starts, run where it could at first.
    fn release(&self) -> io::Result<()>;

    /// The name of the machine that they are in.
    fn machine(&self) -> String;
}

/// The CPU that runs this program.
#[derive(Debug)]
pub struct ThisCpu {
    /// Where this program could run before it pinned itself.
    allowed: io::Result<CpuSet>,
}

impl Default for ThisCpu {
    fn default() -> Self {
        Self {
            allowed: sched_getaffinity(None).map_err(io::Error::from),
        }
    }
}

impl CpuidReader for ThisCpu {
    fn cpuid(&self, eax: u32, ecx: u32) -> Regs {
        // Newer compilers know that this is safe on x86-64.
        #[allow(unused_unsafe)]
        // SAFETY: Every x86-64 CPU has the instruction, and a leaf that does
        // not exist gives values, not an exception.
        let regs = unsafe { core::arch::x86_64::__cpuid_count(eax, ecx) };
        Regs {
            eax: regs.eax,
            ebx: regs.ebx,
            ecx: regs.ecx,
            edx: regs.edx,
        }
    }
}

impl Processor for ThisCpu {
    fn cpus(&self) -> io::Result<Vec<usize>> {
        let numbers = 0..CpuSet::MAX_CPU;
        match &self.allowed {
            Ok(set) => Ok(numbers.filter(|&cpu| set.is_set(cpu)).collect()),
            Err(error) => Err(error.kind().into()),
        }
    }

    fn pin(&self, cpu: usize) -> io::Result<()> {
        if cpu >= CpuSet::MAX_CPU {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut set = CpuSet::new();
        set.set(cpu);
        Ok(sched_setaffinity(None, &set)?)
    }

    fn release(&self) -> io::Result<()> {
        match &self.allowed {
            Ok(set) => Ok(sched_setaffinity(None, set)?),
            Err(error) => Err(error.kind().into()),
        }
    }

    fn machine(&self) -> String {
        std::fs::read_to_string("/proc/sys/kernel/hostname")
            .map_or_else(|_| "guest".into(), |name| name.trim().to_string())
    }
}

/// Counts the CPUID instructions, each of which is an exit of this guest.
pub struct Counted<'a> {
    processor: &'a dyn Processor,
    executed: Cell<u64>,
}

impl<'a> Counted<'a> {
    /// Counts from 0.
    pub fn new(processor: &'a dyn Processor) -> Self {
        Self {
            processor,
            executed: Cell::new(0),
        }
    }

    /// How many were executed.
    pub fn executed(&self) -> u64 {
        self.executed.get()
    }
}

impl CpuidReader for Counted<'_> {
    fn cpuid(&self, eax: u32, ecx: u32) -> Regs {
        self.executed.set(self.executed.get() + 1);
        self.processor.cpuid(eax, ecx)
    }
}

impl Processor for Counted<'_> {
    fn cpus(&self) -> io::Result<Vec<usize>> {
        self.processor.cpus()
    }

    fn pin(&self, cpu: usize) -> io::Result<()> {
        self.processor.pin(cpu)
    }

    fn release(&self) -> io::Result<()> {
        self.processor.release()
    }

    fn machine(&self) -> String {
        self.processor.machine()
    }
}
