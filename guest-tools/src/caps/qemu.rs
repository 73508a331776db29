// SPDX-License-Identifier: GPL-2.0
//! The names that QEMU and libvirt have for VMX capabilities: the properties `vmx-*` of
//! QEMU's CPU models, which libvirt calls the same.

use vmx_caps::msr::Kind;
use vmx_caps::tables::{
    basic, by_index, entry, ept_vpid, exit, misc, pin, primary, secondary, vmfunc, Section,
};

use crate::caps::compare::{can_clear, can_set};
use crate::caps::known::{Fact, Item, Known};
use crate::error::Result;
use crate::output::Output;

/// The names of an MSR's bits; the plain MSR stands for a pair.
type BitNames = (u32, &'static [(u8, &'static str)]);

/// As of QEMU 10.0. A second name of one bit is left out: bit 41 of IA32_VMX_EPT_VPID_CAP is
/// called as bit 25 is.
const NAMES: [BitNames; 9] = [
    (
        basic::MSR.index,
        &[
            (54, "ins-outs"),
            (55, "true-ctls"),
            (56, "any-errcode"),
            (58, "nested-exception"),
        ],
    ),
    (
        pin::PLAIN.index,
        &[
            (0, "intr-exit"),
            (3, "nmi-exit"),
            (5, "vnmi"),
            (6, "preemption-timer"),
            (7, "posted-intr"),
        ],
    ),
    (
        primary::PLAIN.index,
        &[
            (2, "vintr-pending"),
            (3, "tsc-offset"),
            (7, "hlt-exit"),
            (9, "invlpg-exit"),
            (10, "mwait-exit"),
            (11, "rdpmc-exit"),
            (12, "rdtsc-exit"),
            (15, "cr3-load-noexit"),
            (16, "cr3-store-noexit"),
            (19, "cr8-load-exit"),
            (20, "cr8-store-exit"),
            (21, "flexpriority"),
            (22, "vnmi-pending"),
            (23, "movdr-exit"),
            (24, "io-exit"),
            (25, "io-bitmap"),
            (27, "mtf"),
            (28, "msr-bitmap"),
            (29, "monitor-exit"),
            (30, "pause-exit"),
            (31, "secondary-ctls"),
        ],
    ),
    (
        secondary::MSR.index,
        &[
            (0, "apicv-xapic"),
            (1, "ept"),
            (2, "desc-exit"),
            (3, "rdtscp-exit"),
            (4, "apicv-x2apic"),
            (5, "vpid"),
            (6, "wbinvd-exit"),
            (7, "unrestricted-guest"),
            (8, "apicv-register"),
            (9, "apicv-vid"),
            (10, "ple"),
            (11, "rdrand-exit"),
            (12, "invpcid-exit"),
            (13, "vmfunc"),
            (14, "shadow-vmcs"),
            (15, "encls-exit"),
            (16, "rdseed-exit"),
            (17, "pml"),
            (20, "xsaves"),
            (25, "tsc-scaling"),
            (26, "enable-user-wait-pause"),
        ],
    ),
    (
        exit::PLAIN.index,
        &[
            (2, "exit-nosave-debugctl"),
            (12, "exit-load-perf-global-ctrl"),
            (15, "exit-ack-intr"),
            (18, "exit-save-pat"),
            (19, "exit-load-pat"),
            (20, "exit-save-efer"),
            (21, "exit-load-efer"),
            (22, "exit-save-preemption-timer"),
            (23, "exit-clear-bndcfgs"),
            (25, "exit-clear-rtit-ctl"),
            (29, "exit-load-pkrs"),
            (31, "exit-secondary-ctls"),
        ],
    ),
    (
        entry::PLAIN.index,
        &[
            (2, "entry-noload-debugctl"),
            (9, "entry-ia32e-mode"),
            (13, "entry-load-perf-global-ctrl"),
            (14, "entry-load-pat"),
            (15, "entry-load-efer"),
            (16, "entry-load-bndcfgs"),
            (18, "entry-load-rtit-ctl"),
            (22, "entry-load-pkrs"),
            (23, "entry-load-fred"),
        ],
    ),
    (
        misc::MSR.index,
        &[
            (5, "store-lma"),
            (6, "activity-hlt"),
            (7, "activity-shutdown"),
            (8, "activity-wait-sipi"),
            (29, "vmwrite-vmexit-fields"),
            (30, "zero-len-inject"),
        ],
    ),
    (
        ept_vpid::MSR.index,
        &[
            (0, "ept-execonly"),
            (6, "page-walk-4"),
            (7, "page-walk-5"),
            (16, "ept-2mb"),
            (17, "ept-1gb"),
            (20, "invept"),
            (21, "eptad"),
            (22, "ept-advanced-exitinfo"),
            (25, "invept-single-context"),
            (26, "invept-all-context"),
            (32, "invvpid"),
            (40, "invvpid-single-addr"),
            (42, "invvpid-all-context"),
            (43, "invept-single-context-noglobals"),
        ],
    ),
    (vmfunc::MSR.index, &[(0, "eptp-switching")]),
];

/// The name of something in QEMU, if it has one.
pub fn name(item: &Item) -> Option<String> {
    let (_, names) = NAMES.iter().find(|(index, _)| *index == item.msr().index)?;
    let (_, name) = names.iter().find(|(named, _)| *named == item.bit())?;
    Some(format!("vmx-{name}"))
}

/// Libvirt's name, if it has one: QEMU's, but for two bits that QEMU misnames.
fn libvirts_name(item: &Item) -> Option<String> {
    match (item.msr().index == ept_vpid::MSR.index, item.bit()) {
        (true, 41) => Some("vmx-invvpid-single-context".into()),
        (true, 43) => Some("vmx-invvpid-single-context-noglobals".into()),
        _ => name(item),
    }
}

/// Whether a name is about a control being 0: of the default1 class that alone is a feature.
pub fn means_clear(item: &Item) -> bool {
    match item {
        Item::Control(Section::Controls { plain, .. }, control) => match plain.kind {
            Kind::Allowed01 { default1, .. } => u64::from(default1) & control.mask() != 0,
            _ => false,
        },
        _ => false,
    }
}

/// What a machine has of all that has a name, as far as it is told.
fn features(known: &Known, name: fn(&Item) -> Option<String>) -> Vec<(String, bool)> {
    let told = |item: Item| {
        let there = if means_clear(&item) {
            can_clear(&item, known)
        } else {
            can_set(&item, known)
        };
        match (name(&item)?, there) {
            (_, Err(Fact::Untold)) => None,
            (name, there) => Some((name, there == Ok(true))),
        }
    };
    Item::all().filter_map(told).collect()
}

/// Prints QEMU's option for a CPU that has exactly these.
pub fn option(known: &Known, out: &mut Output<'_>) -> Result<()> {
    let on_or_off = |(name, there): (String, bool)| {
        if there {
            format!(",{name}=on")
        } else {
            format!(",{name}=off")
        }
    };
    let list: String = features(known, name).into_iter().map(on_or_off).collect();
    writeln!(out, "-cpu host,vmx=on{list}")
}

/// Prints libvirt's element for such a CPU.
pub fn xml(known: &Known, out: &mut Output<'_>) -> Result<()> {
    writeln!(out, "<cpu mode='host-model'>")?;
    writeln!(out, "  <feature policy='require' name='vmx'/>")?;
    for (name, there) in features(known, libvirts_name) {
        let policy = if there { "require" } else { "disable" };
        writeln!(out, "  <feature policy='{policy}' name='{name}'/>")?;
    }
    writeln!(out, "</cpu>")
}

/// What a line of QEMU's log complains of, such as
/// `host doesn't support requested feature: MSR(48DH).vmx-posted-intr [bit 7]`: the MSR's
/// number and the bit.
pub fn complaint(line: &str) -> Option<(u32, u8)> {
    let (_, rest) = line.split_once("MSR(")?;
    let (index, rest) = rest.split_once("H).")?;
    let (_, rest) = rest.split_once("[bit ")?;
    let (bit, _) = rest.split_once(']')?;
    let index = u32::from_str_radix(index, 16).ok()?;
    let bit = bit.parse().ok().filter(|bit| *bit < 64)?;
    by_index(index).map(|_| (index, bit))
}

/// What has this bit of an MSR, which may be the TRUE one of a pair.
pub fn item_of(index: u32, bit: u8) -> Option<Item> {
    Item::all().find(|item| match item {
        Item::Control(Section::Controls { plain, true_form }, control) => {
            let is_it = |index_of: u32| index_of == index && control.bit == bit;
            is_it(plain.index) || true_form.is_some_and(|msr| is_it(msr.index))
        }
        Item::Control(_, control) => item.msr().index == index && control.bit == bit,
        Item::Field(msr, field) => msr.index == index && field.low <= bit && bit <= field.high,
    })
}
