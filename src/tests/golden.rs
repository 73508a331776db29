// SPDX-License-Identifier: GPL-2.0
//! Expect that the whole log, line by line, is the one that was read and found right.
#![allow(missing_docs)]

mod common;

use common::{haswell, INTEL};

/// The log of a Haswell of which CPU 1 differs in a control, a field, CR0 and CR4.
const LOG: &str = include_str!("golden.log");

#[test]
fn the_log_of_two_cpus_that_differ_is_as_it_was() {
    let mut machine = haswell();
    let mut other = machine.0[&0].clone();
    for (msr, bits) in [
        (0x481, 1 << 39),
        (0x485, 5),
        (0x487, 1 << 31),
        (0x489, 1 << 20),
    ] {
        *other.get_mut(&msr).unwrap() ^= bits;
    }
    machine.0.insert(1, other);
    let (log, _) = machine.report(&INTEL, false);
    let text: String = log.all.iter().map(|line| format!("{line}\n")).collect();
    if text != LOG {
        let file = std::env::temp_dir().join("vmx_caps-golden.log");
        std::fs::write(&file, &text).unwrap();
        let (place, line) = (text.lines().enumerate())
            .find(|(place, line)| LOG.lines().nth(*place) != Some(line))
            .unwrap_or((0, "it is shorter than it was"));
        panic!(
            "line {} is now {line:?}; the whole log is {}: compare it with src/tests/golden.log",
            place + 1,
            file.display()
        );
    }
}
