// SPDX-License-Identifier: GPL-2.0
//! A model of a host: KVM's files in debugfs, and its VMs' processes.

use std::fs;
use std::path::PathBuf;

use exit_stats::{abi, reason};

use vmxscope::view::monotonic_ns;

use super::{view, Machine, TSC_KHZ};

/// What exit_stats_vcpus prints of two vCPUs: one runs, and one is stuck in the handling of
/// an I/O instruction. `second` is how many seconds the host has been up.
pub fn vcpus(second: u64) -> String {
    let now = second * u64::from(TSC_KHZ) * 1000;
    let percent = now / 100;
    // 75 % in the guest, 5 % handling, 20 % blocked until now.
    let busy = [
        second * 3_000,
        percent * 5,
        100,
        9_000,
        percent * 20,
        0,
        0,
        0,
        0,
        0,
        percent * 75,
    ];
    let stuck = [1_000, 10_000_000, 100, 9_000, 0, 0, 0, 0, 0, 0, 10_000_000];
    let line = |start: &str, figures: [u64; 11]| {
        let figures = figures.map(|figure| figure.to_string());
        format!("{start}\t{}\n", figures.join("\t"))
    };
    let head = "vcpu\tphase\treason\tfrom_l2\tsince\tfirst\tmark\tnow\texits\tcycles\tmin\tmax\tblocked\tuser\tl2\tdropped\taway\tentry\tguest\n";
    let mark = 20_000_000;
    head.to_string()
        + &line(&format!("0\tguest\t12\t0\t{now}\t0\t{now}\t{now}"), busy)
        + &line(
            &format!("1\thandling\t30\t0\t{mark}\t0\t{mark}\t{now}"),
            stuck,
        )
}

/// What KVM's exit_stats_raw prints of a model's counters.
pub fn raw(machine: &Machine) -> String {
    let mut text = "reason\tsymbol\texits\tcycles\tmin\tmax\tblocked\tuser\tl2\tdropped\taway\tentry\tguest\tbuckets\n"
        .to_string();
    text += &format!("tsc_khz\t{TSC_KHZ}\nmonotonic_ns\t{}\n", monotonic_ns());
    let pseudo = [abi::BEYOND, abi::EMULATED, abi::FAILED, abi::TOTAL];
    for number in reason::all()
        .map(|reason| u32::from(reason.number))
        .chain(pseudo)
    {
        let value = |field| view(&machine.counted).value(number, field).unwrap_or(0);
        let symbol = reason::symbol(number).unwrap().to_str().unwrap();
        text += &format!("{number}\t{symbol}");
        use abi::{AWAY, BLOCKED, CYCLES, DROPPED, ENTRY, EXITS, GUEST, L2, MAX, MIN, USER};
        for field in [
            EXITS, CYCLES, MIN, MAX, BLOCKED, USER, L2, DROPPED, AWAY, ENTRY, GUEST,
        ] {
            text += &format!("\t{}", value(field));
        }
        let buckets = (0..abi::BUCKETS)
            .map(|k| (k, value(abi::BUCKET + k)))
            .filter(|(_, exits)| *exits != 0);
        let buckets: Vec<String> = buckets.map(|(k, exits)| format!("{k}:{exits}")).collect();
        text += &match buckets.as_slice() {
            [] => "\t-\n".into(),
            _ => format!("\t{}\n", buckets.join(",")),
        };
    }
    text
}

/// A folder that is removed in the end.
pub struct Folder(pub PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A host with two VMs, one named by its QEMU and one not.
pub fn host(name: &str) -> Folder {
    let root = std::env::temp_dir().join(format!("vmxscope-host-{name}-{}", std::process::id()));
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let machine = Machine::booted();
    let kvm = "sys/kernel/debug/kvm";
    write(&format!("{kvm}/exit_stats_raw"), &raw(&machine));
    write(&format!("{kvm}/4211-14/exit_stats_raw"), &raw(&machine));
    write(&format!("{kvm}/4211-14/exit_stats_vcpus"), &vcpus(100));
    write(&format!("{kvm}/4211-14/vcpu0/pid"), "1");
    write(&format!("{kvm}/4211-14/vcpu1/pid"), "2");
    write(
        &format!("{kvm}/977-12/exit_stats_raw"),
        &raw(&Machine::patched()),
    );
    write(
        "proc/4211/cmdline",
        "qemu-system-x86_64\0-name\0guest=web1,debug-threads=on\0-m\x001024",
    );
    write("proc/977/comm", "firecracker\n");
    Folder(root)
}
