// SPDX-License-Identifier: GPL-2.0
//! KVM's trace events, counted by ftrace's hist triggers: an unmodified kernel tells the
//! causes of exits so, of Intel's and of AMD's processors.

mod convert;
mod tables;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::instance::Instance;
use crate::causes::model::Causes;
use crate::error::{Error, Result};
pub use convert::of_hists;
use tables::{Table, REASONS, TABLES};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// How many exits each reason has.
    Reasons,
    /// The same, and their causes and places.
    Causes,
}

/// Begins to count. The kernel takes its time to make a table, and longer for a larger one, so
/// none counts before all are there.
///
/// # Errors
///
/// The system's, with what the kernel says of the trigger.
pub fn begin(instance: &Instance, what: What) -> Result<()> {
    let set = |then| {
        tables(instance, what)
            .try_for_each(|table| instance.trigger(table.event, &table.trigger(then)))
    };
    set(":pause")?;
    set(":continue")
}

/// Ends it.
///
/// # Errors
///
/// As of [`begin`].
pub fn end(instance: &Instance, what: What) -> Result<()> {
    let tables: Vec<&Table> = tables(instance, what).collect();
    tables
        .into_iter()
        .rev()
        .try_for_each(|table| instance.trigger(table.event, &table.trigger(":pause")))
}

/// The tables whose events this kernel has.
fn tables(instance: &Instance, what: What) -> impl Iterator<Item = &'static Table> + '_ {
    let wanted = match what {
        What::Reasons => 1,
        What::Causes => TABLES.len(),
    };
    // Without this one there is nothing to show, so that it has to fail.
    let there = |table: &&Table| {
        let folder = instance.file(&format!("events/kvm/{}", table.event));
        table.event == REASONS.event || folder.exists()
    };
    TABLES.into_iter().take(wanted).filter(there)
}

/// Reads what was counted in that time.
///
/// # Errors
///
/// A file that cannot be read, or that is not understood.
pub fn read(instance: &Instance, seconds: f64, root: &Path) -> Result<Causes> {
    let mut texts = BTreeMap::new();
    for table in tables(instance, What::Causes) {
        if texts.contains_key(table.event) {
            continue;
        }
        let path = instance.file(&format!("events/kvm/{}/hist", table.event));
        let text = fs::read_to_string(&path)
            .map_err(|error| Error::system(format!("cannot read {}", path.display()), error))?;
        texts.insert(table.event, (path.display().to_string(), text));
    }
    let texts = texts
        .iter()
        .map(|(event, (path, text))| (*event, path.as_str(), text.as_str()));
    let mut causes = of_hists(texts, seconds)?;
    causes.facts = facts(root);
    Ok(causes)
}

/// Parameters of KVM's modules on this host.
pub fn facts(root: &Path) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    for module in ["kvm", "kvm_intel", "kvm_amd"] {
        let folder = root.join("sys/module").join(module).join("parameters");
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if let Ok(value) = fs::read_to_string(entry.path()) {
                let name = format!("{module}.{}", entry.file_name().to_string_lossy());
                facts.insert(name, value.trim().into());
            }
        }
    }
    facts
}
