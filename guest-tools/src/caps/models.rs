// SPDX-License-Identifier: GPL-2.0
//! QEMU's CPU models: what of VMX each asks of the host when it is started with `vmx=on`.

use crate::caps::known::Item;
use crate::caps::profile::{Need, Profile};
use crate::caps::qemu::means_clear;

/// A line a model: its name, its other names, and the bits that it has of each MSR, whose
/// numbers are in the first line. A bit of a control of the default1 class means that the
/// control can be 0, any other that it can be 1; tests/caps/qemu.rs asks QEMU itself.
const TABLE: &str = include_str!("../../profiles/qemu-models.tsv");

/// A CPU model.
#[derive(Debug, Clone, Copy)]
pub struct CpuModel {
    /// Its name with a version, such as `Haswell-v2`.
    pub name: &'static str,
    aliases: &'static str,
    masks: &'static str,
}

impl CpuModel {
    /// All there are.
    pub fn all() -> impl Iterator<Item = Self> {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#')).skip(1);
        lines.filter_map(|line| {
            let (name, rest) = line.split_once('\t')?;
            let (aliases, masks) = rest.split_once('\t')?;
            Some(Self {
                name,
                aliases,
                masks,
            })
        })
    }

    /// Its other names: without a version the first one is meant, as of the machine types pc
    /// and q35.
    pub fn aliases(&self) -> impl Iterator<Item = &'static str> {
        self.aliases.split(',').filter(|alias| *alias != "-")
    }

    /// The bits that it has of each MSR, by the number of the plain one of a pair.
    pub fn masks(&self) -> impl Iterator<Item = (u32, u64)> {
        let hex = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok();
        let head = TABLE.lines().find(|line| !line.starts_with('#'));
        let numbers = head.unwrap_or_default().split('\t').skip(2);
        numbers
            .zip(self.masks.split('\t'))
            .filter_map(move |(number, mask)| Some((hex(number)? as u32, hex(mask)?)))
    }

    /// All that it asks of the host.
    pub fn profile(&self) -> Profile {
        let masks: Vec<(u32, u64)> = self.masks().collect();
        let has = |item: &Item| {
            let of = |(index, mask): &(u32, u64)| {
                *index == item.msr().index && (mask >> item.bit()) & 1 != 0
            };
            masks.iter().any(of)
        };
        let need = |item: Item| {
            if means_clear(&item) {
                (Need::Clearable, item)
            } else {
                (Need::Required, item)
            }
        };
        Profile {
            title: format!("QEMU's CPU model {}", self.name),
            needs: Item::all().filter(has).map(need).collect(),
            model: Some(self.name),
        }
    }
}

/// The profile of the model of this name.
pub fn profile(name: &str) -> Option<Profile> {
    let is_it = |known: &str| known.eq_ignore_ascii_case(name);
    let mut models = CpuModel::all();
    let model = models.find(|model| is_it(model.name) || model.aliases().any(is_it))?;
    Some(model.profile())
}

/// The names of all, without versions.
pub fn names() -> Vec<&'static str> {
    let without = |model: CpuModel| model.name.rsplit_once("-v").map(|(name, _)| name);
    let mut names: Vec<&str> = CpuModel::all().filter_map(without).collect();
    names.dedup();
    names
}
