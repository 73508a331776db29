// SPDX-License-Identifier: GPL-2.0
//! The fuzzer: libFuzzer's main, for the target that FUZZ_TARGET names.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    static TARGET: std::sync::OnceLock<vmxscope_fuzz::Target> = std::sync::OnceLock::new();
    let target = TARGET.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        let mut targets = vmxscope_fuzz::TARGETS.iter();
        let found = targets.find(|(target, _)| *target == name);
        found
            .unwrap_or_else(|| panic!("FUZZ_TARGET={name:?} is none"))
            .1
    });
    target(data);
});

/// Without cargo fuzz it only lists the targets.
#[cfg(not(fuzzing))]
fn main() {
    for (name, _) in vmxscope_fuzz::TARGETS {
        println!("{name}");
    }
}
