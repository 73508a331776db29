// SPDX-License-Identifier: GPL-2.0
//! What this machine's KVM makes of the CPU: which capabilities it uses, by its module
//! parameters, and which it offers to nested hypervisors, by /dev/kvm.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use kvm_bindings::{kvm_msr_entry, Msrs};
use kvm_ioctls::Kvm;
use vmx_caps::decode::yes_no;
use vmx_caps::tables::{feature_control, MSRS};

use crate::caps::known::{Fact, Item, Known, KvmUse, Use};
use crate::error::{Error, Result};
use crate::output::Output;

/// The parameters of the module kvm_intel.
const PARAMETERS: &str = "sys/module/kvm_intel/parameters";

/// Parameters that say whether KVM uses a capability, by Linux's name of that
/// (arch/x86/kvm/vmx/vmx.c).
const USES: [(&str, &str); 15] = [
    ("ept", "VMX_FEATURE_EPT"),
    ("eptad", "VMX_EPT_AD_BIT"),
    ("vpid", "VMX_FEATURE_VPID"),
    ("unrestricted_guest", "VMX_FEATURE_UNRESTRICTED_GUEST"),
    ("pml", "VMX_FEATURE_PAGE_MOD_LOGGING"),
    ("flexpriority", "VMX_FEATURE_VIRT_APIC_ACCESSES"),
    ("enable_apicv", "VMX_FEATURE_APIC_REGISTER_VIRT"),
    ("enable_apicv", "VMX_FEATURE_VIRT_INTR_DELIVERY"),
    ("enable_apicv", "VMX_FEATURE_POSTED_INTR"),
    ("enable_ipiv", "VMX_FEATURE_IPI_VIRT"),
    ("vnmi", "VMX_FEATURE_VIRTUAL_NMIS"),
    ("preemption_timer", "VMX_FEATURE_PREEMPTION_TIMER"),
    ("ple_gap", "VMX_FEATURE_PAUSE_LOOP_EXITING"),
    ("enable_shadow_vmcs", "VMX_FEATURE_SHADOW_VMCS"),
    ("sgx", "VMX_FEATURE_ENCLS_EXITING"),
];

/// Asks the KVM whose files are below `root` what it makes of the hardware; `None`
/// if it is not loaded.
pub fn read(hardware: &Known, root: &Path) -> Option<KvmUse> {
    let folder = root.join(PARAMETERS);
    let parameter = |name: &str| {
        let text = fs::read_to_string(folder.join(name)).ok()?;
        Some(text.trim().to_string())
    };
    let allows_nested = parameter("nested").is_some_and(|value| value != "N" && value != "0");
    if !folder.exists() {
        return None;
    }
    // Another root's KVM has no device that could be asked from here.
    let (offered, untold) = match (allows_nested, root == Path::new("/")) {
        (false, _) => (None, Some("nested virtualization is off".into())),
        (true, false) => (None, Some("another machine's KVM cannot be asked".into())),
        (true, true) => match nested() {
            Ok(known) => (Some(known), None),
            Err(error) => (None, Some(error.to_string())),
        },
    };
    let uses = USES.iter().filter_map(|&(name, linux)| {
        let item = Item::all().find(|item| item.linux() == Some(linux))?;
        Some(Use {
            name: item.name().into(),
            hardware: has(&item, hardware),
            parameter: name.into(),
            value: parameter(name),
            nested: offered.as_ref().and_then(|offered| has(&item, offered)),
        })
    });
    let uses = uses.collect();
    let withheld = Item::all()
        .filter(|item| {
            let nested = offered
                .as_ref()
                .map(|offered| has(item, offered).unwrap_or(false));
            matches!(item, Item::Control(..)) && nested == Some(false)
        })
        .filter(|item| has(item, hardware) == Some(true))
        .map(|item| item.name().to_string())
        .collect();
    Some(KvmUse {
        allows_nested,
        untold,
        uses,
        withheld,
    })
}

/// Whether a machine has something; a control, if it can be set.
fn has(item: &Item, known: &Known) -> Option<bool> {
    let answer = match *item {
        Item::Control(section, control) => known.can_set(section, control),
        Item::Field(msr, field) => known.field(msr, field).map(|value| value != 0),
    };
    match answer {
        Ok(has) => Some(has),
        Err(Fact::Absent) => Some(false),
        Err(_) => None,
    }
}

/// The VMX MSRs that this machine's KVM offers to nested hypervisors.
///
/// # Errors
///
/// The system's, if /dev/kvm cannot be asked.
pub fn nested() -> Result<Known> {
    let refused = |error: kvm_ioctls::Error| {
        let source = std::io::Error::from_raw_os_error(error.errno());
        Error::system("cannot ask /dev/kvm", source)
    };
    let kvm = Kvm::new().map_err(refused)?;
    let mut values = BTreeMap::new();
    for msr in MSRS {
        let entry = kvm_msr_entry {
            index: msr.index,
            ..Default::default()
        };
        let mut msrs = Msrs::from_entries(&[entry])
            .map_err(|error| Error::Usage(format!("cannot ask for an MSR: {error:?}")))?;
        // An MSR that KVM does not offer is not an error: none was read.
        if kvm.get_msrs(&mut msrs).map_err(refused)? == 1 {
            values.extend(
                msrs.as_slice()
                    .first()
                    .map(|entry| (entry.index, entry.data)),
            );
        }
    }
    // KVM shows IA32_FEATURE_CONTROL also where it has no VMX to offer.
    if !values
        .keys()
        .any(|&index| index != feature_control::MSR.index)
    {
        return Err(Error::NoStatistics(
            "/dev/kvm offers no VMX MSR: nested virtualization is off (kvm_intel.nested), or this \
             is an AMD host"
                .into(),
        ));
    }
    let mut known = Known::of_values("/dev/kvm", &values);
    known.complete = true;
    Ok(known)
}

/// Prints it below the capabilities.
pub fn show(kvm: &KvmUse, out: &mut Output<'_>) -> Result<()> {
    let look = out.look;
    writeln!(out, "\n{}", look.bold("What KVM makes of it (kvm_intel):"))?;
    let width = kvm.uses.iter().map(|item| item.name.chars().count()).max();
    let width = width.unwrap_or(0);
    let head = format!(
        "  {:width$}  hardware  KVM uses it                nested guests",
        ""
    );
    writeln!(out, "{}", look.dim(&head))?;
    let say = |known: Option<bool>| known.map_or("not told", yes_no);
    for item in &kvm.uses {
        let by = match &item.value {
            Some(value) => format!("{} ({}={value})", say(item.is_used()), item.parameter),
            None => "not told".into(),
        };
        let (hardware, nested) = (say(item.hardware), say(item.nested));
        writeln!(
            out,
            "  {:width$}  {hardware:<8}  {by:<26} {nested}",
            item.name
        )?;
    }
    match &kvm.untold {
        Some(why) => writeln!(out, "Nothing is told of nested guests: {why}.")?,
        None => {
            let names = kvm.withheld.join(", ");
            let count = kvm.withheld.len();
            writeln!(
                out,
                "{count} controls of this CPU are kept from nested guests: {names}"
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_parameter_names_a_capability_that_there_is() {
        for (parameter, linux) in USES {
            let found = Item::all()
                .filter(|item| item.linux() == Some(linux))
                .count();
            assert_eq!(found, 1, "{parameter} {linux}");
        }
    }
}
