// SPDX-License-Identifier: GPL-2.0
//! All that belongs together is read on one CPU.

use crate::error::{Error, Result};
use crate::processor::Processor;

/// Pins this thread; to the lowest CPU that it may run on if none is named.
pub fn pin_to(cpu: &dyn Processor, wanted: Option<usize>) -> Result<usize> {
    let allowed = cpu
        .cpus()
        .map_err(|error| Error::system("cannot ask which CPUs may be used", error))?;
    let number = match wanted {
        None => allowed.first().copied().unwrap_or(0),
        Some(number) if allowed.contains(&number) => number,
        Some(number) => {
            return Err(Error::Usage(format!(
                "--cpu {number}: this program may run on {} only",
                list(&allowed)
            )))
        }
    };
    cpu.pin(number)
        .map_err(|error| Error::system(format!("cannot stay on CPU {number}"), error))?;
    Ok(number)
}

/// Lets this thread run where it may again.
pub(super) fn release(cpu: &dyn Processor) -> Result<()> {
    let result = cpu.release();
    result.map_err(|error| Error::system("cannot give up the CPU", error))
}

fn list(cpus: &[usize]) -> String {
    let numbers: Vec<String> = cpus.iter().map(usize::to_string).collect();
    match numbers.as_slice() {
        [one] => format!("CPU {one}"),
        _ => format!("CPUs {}", numbers.join(",")),
    }
}
