// SPDX-License-Identifier: GPL-2.0
//! Causes as people call them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::mappings::Mappings;
use super::model::{Cause, CauseKind, Causes};
use super::ranges::Ranges;
use super::symbols::Symbols;
use crate::args::GuestFiles;
use crate::child::Running;
use crate::error::{Error, Result};
use crate::input;

const TABLES: &str = include_str!("../../causes/names.toml");
const TABLES_NAME: &str = "causes/names.toml";

/// The local APIC's page.
const APIC: u64 = 0xfee0_0000;
/// Its registers as MSRs, of which each stands for 16 bytes of the page.
const X2APIC: u64 = 0x800;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tables {
    msrs: BTreeMap<String, String>,
    apic: BTreeMap<String, String>,
    ports: BTreeMap<String, String>,
    pages: BTreeMap<String, String>,
    hypercalls: BTreeMap<String, String>,
    hyperv: BTreeMap<String, String>,
    leaves: BTreeMap<String, String>,
}

/// What is known by name.
#[derive(Debug)]
pub struct Names {
    msrs: Ranges,
    apic: Ranges,
    ports: Ranges,
    pages: Ranges,
    hypercalls: Ranges,
    hyperv: Ranges,
    leaves: Ranges,
    /// /proc/ioports, /proc/iomem and the symbols of the guest, where they are given.
    ioports: Ranges,
    iomem: Ranges,
    symbols: Symbols,
    /// What commands had mapped that were run here.
    mappings: Mappings,
    /// Functions by their addresses, as a recording has them.
    functions: BTreeMap<u64, String>,
}

impl Names {
    /// The tables that are built in, and the guest's own.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or that is not understood.
    pub fn read(files: &GuestFiles) -> Result<Self> {
        let problem = |problem: String| Error::input(TABLES_NAME, 0, problem);
        let tables: Tables =
            toml::from_str(TABLES).map_err(|error| problem(error.message().into()))?;
        let ranges = |table| Ranges::of(table).map_err(problem);
        let proc = |file: &Option<std::path::PathBuf>| match file {
            Some(file) => Ranges::of_proc(&input::read(file)?, &file.display().to_string()),
            None => Ok(Ranges::default()),
        };
        Ok(Self {
            msrs: ranges(tables.msrs)?,
            apic: ranges(tables.apic)?,
            ports: ranges(tables.ports)?,
            pages: ranges(tables.pages)?,
            hypercalls: ranges(tables.hypercalls)?,
            hyperv: ranges(tables.hyperv)?,
            leaves: ranges(tables.leaves)?,
            ioports: proc(&files.ioports)?,
            iomem: proc(&files.iomem)?,
            symbols: match &files.symbols {
                Some(file) => Symbols::parse(&input::read(file)?, &file.display().to_string())?,
                None => Symbols::default(),
            },
            mappings: Mappings::default(),
            functions: BTreeMap::new(),
        })
    }

    /// Takes this guest's own files where none was named, as far as they can be read: the
    /// kernel shows most of what is in them to root only.
    pub fn add_own(&mut self, named: &GuestFiles) {
        let read = |file: &str| fs::read_to_string(Path::new("/proc").join(file)).ok();
        let ranges = |file| Ranges::of_proc(&read(file)?, file).ok();
        if named.ioports.is_none() {
            self.ioports = ranges("ioports").unwrap_or_default();
        }
        if named.iomem.is_none() {
            self.iomem = ranges("iomem").unwrap_or_default();
        }
        if named.symbols.is_none() {
            let symbols = read("kallsyms").map(|text| Symbols::parse(&text, "kallsyms"));
            self.symbols = symbols.and_then(Result::ok).unwrap_or_default();
        }
    }

    /// The name of what a cause is about, if it has one.
    pub fn of(&self, cause: &Cause) -> Option<String> {
        let key = cause.key?;
        let own = |text: Option<&str>| text.map(String::from);
        match cause.kind {
            CauseKind::Reason => None,
            CauseKind::MsrRead | CauseKind::MsrWrite => self.msr(key),
            CauseKind::PortIn | CauseKind::PortOut => {
                let port = port(key);
                own(self.ioports.name_or(&self.ports, port))
            }
            CauseKind::Mmio | CauseKind::MmioRead | CauseKind::MmioWrite | CauseKind::Ioeventfd => {
                self.address(key)
            }
            CauseKind::Page => self.address(key & !0xfff),
            CauseKind::Cpuid => own(self.leaves.name(key & 0xffff_ffff)),
            CauseKind::Hypercall => own(self.hypercalls.name(key)),
            CauseKind::HypervHypercall => own(self.hyperv.name(key)),
            CauseKind::ApicWrite => own(self.apic.name(key)),
            CauseKind::ControlRegister | CauseKind::DebugRegister | CauseKind::Exception => {
                own(match cause.kind {
                    CauseKind::Exception => exception(key),
                    CauseKind::ControlRegister if key >> 8 == 2 => Some("CLTS"),
                    CauseKind::ControlRegister if key >> 8 == 3 => Some("LMSW"),
                    _ => None,
                })
            }
        }
    }

    fn msr(&self, index: u64) -> Option<String> {
        if let Some(name) = self.msrs.name(index) {
            return Some(name.into());
        }
        let offset = index.checked_sub(X2APIC).map(|number| number << 4);
        if let Some(name) = offset.and_then(|offset| self.apic.name(offset)) {
            return Some(format!("IA32_X2APIC_{name}"));
        }
        let index = u32::try_from(index).ok()?;
        vmx_caps::tables::by_index(index).map(|msr| msr.name.into())
    }

    fn address(&self, address: u64) -> Option<String> {
        let register = address
            .checked_sub(APIC)
            .and_then(|offset| self.apic.name(offset));
        if let Some(register) = register {
            return Some(format!("local APIC {register}"));
        }
        let name = self.iomem.name_or(&self.pages, address);
        name.map(String::from)
    }

    /// The function that an address of the guest's code is in.
    pub fn function(&self, rip: u64) -> Option<String> {
        let recorded = self.functions.get(&rip).cloned();
        let named = recorded.or_else(|| self.symbols.name(rip));
        named.or_else(|| self.mappings.name(rip))
    }

    /// The tables that are built in, and functions that a recording has.
    ///
    /// # Errors
    ///
    /// None: a test reads the tables.
    pub fn of_recording(functions: &BTreeMap<u64, String>) -> Result<Self> {
        Ok(Self {
            functions: functions.clone(),
            ..Self::read(&GuestFiles::default())?
        })
    }

    /// Code of a process that runs here, and of those that it has started.
    pub fn add_process(&mut self, running: Running) {
        self.mappings.add(running.pid());
    }
}

/// `IN`, `WRMSR`: what was done.
pub fn action(kind: CauseKind) -> &'static str {
    match kind {
        CauseKind::Reason => "exit",
        CauseKind::MsrRead => "RDMSR",
        CauseKind::MsrWrite => "WRMSR",
        CauseKind::PortIn => "IN",
        CauseKind::PortOut => "OUT",
        CauseKind::Mmio => "MMIO",
        CauseKind::MmioRead => "MMIO read",
        CauseKind::MmioWrite => "MMIO write",
        CauseKind::Ioeventfd => "ioeventfd",
        CauseKind::Page => "page fault",
        CauseKind::Cpuid => "CPUID",
        CauseKind::Hypercall => "hypercall",
        CauseKind::HypervHypercall => "Hyper-V hypercall",
        CauseKind::ControlRegister => "MOV CR",
        CauseKind::DebugRegister => "MOV DR",
        CauseKind::ApicWrite => "APIC write",
        CauseKind::Exception => "exception",
    }
}

/// `0x608, 4 bytes`: what it was done to.
pub fn key(cause: &Cause) -> String {
    let Some(key) = cause.key else {
        return "-".into();
    };
    let size = |key: u64| match (key >> 16) & 0xff {
        0 => String::new(),
        1 => ", 1 byte".into(),
        size => format!(", {size} bytes"),
    };
    let to = |key: u64| ["to", "from", "in", "in"][((key >> 8) & 3) as usize];
    match cause.kind {
        CauseKind::PortIn | CauseKind::PortOut => format!("{:#x}{}", port(key), size(key)),
        CauseKind::Page => {
            let access = match key & 7 {
                access if access & 2 != 0 => "write",
                access if access & 4 != 0 => "fetch",
                _ => "read",
            };
            format!("{:#x}, {access}", key & !0xfff)
        }
        CauseKind::Cpuid => match (key as u32, key >> 32) {
            (leaf, 0) => format!("{leaf:#x}"),
            (leaf, subleaf) => format!("{leaf:#x}, subleaf {subleaf:#x}"),
        },
        CauseKind::ControlRegister => format!("{} CR{}", to(key), key & 0xff),
        CauseKind::DebugRegister => format!("{} DR{}", to(key), key & 0xff),
        CauseKind::Hypercall | CauseKind::Exception => key.to_string(),
        _ => format!("{key:#x}"),
    }
}

/// What rules of advice call a key: the port, the page or the register without the rest.
pub fn subject(cause: &Cause) -> Option<u64> {
    let key = cause.key?;
    Some(match cause.kind {
        CauseKind::PortIn | CauseKind::PortOut => port(key),
        CauseKind::Page => key & !0xfff,
        CauseKind::Cpuid => key & 0xffff_ffff,
        CauseKind::ControlRegister | CauseKind::DebugRegister => key & 0xff,
        _ => key,
    })
}

fn port(key: u64) -> u64 {
    key & 0xffff
}

/// SDM volume 3, table 7-1. 2 is also how an NMI is told.
fn exception(vector: u64) -> Option<&'static str> {
    const NAMES: [&str; 22] = [
        "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "", "#TS", "#NP", "#SS",
        "#GP", "#PF", "", "#MF", "#AC", "#MC", "#XM", "#VE", "#CP",
    ];
    let name = NAMES.get(usize::try_from(vector).ok()?)?;
    (!name.is_empty()).then_some(*name)
}

/// The port, the MSR, the exit of a reason: what advice is about.
pub fn noun(cause: &Cause, causes: &Causes) -> String {
    let key = subject(cause).unwrap_or_default();
    match cause.kind {
        CauseKind::Reason => match cause.reason {
            Some(reason) => causes.symbol(reason),
            None => "exits".into(),
        },
        CauseKind::MsrRead | CauseKind::MsrWrite => format!("MSR {key:#x}"),
        CauseKind::PortIn | CauseKind::PortOut => format!("port {key:#x}"),
        CauseKind::Mmio | CauseKind::MmioRead | CauseKind::MmioWrite | CauseKind::Ioeventfd => {
            format!("address {key:#x}")
        }
        CauseKind::Page => format!("page {key:#x}"),
        CauseKind::Cpuid => format!("CPUID leaf {key:#x}"),
        CauseKind::Hypercall => format!("hypercall {key}"),
        CauseKind::HypervHypercall => format!("Hyper-V hypercall {key:#x}"),
        CauseKind::ControlRegister => format!("CR{key}"),
        CauseKind::DebugRegister => format!("DR{key}"),
        CauseKind::ApicWrite => format!("APIC register {key:#x}"),
        CauseKind::Exception => format!("exception {key}"),
    }
}
