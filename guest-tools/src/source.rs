// SPDX-License-Identifier: GPL-2.0
//! Where figures come from: this guest, or a VM of this host.

use std::path::Path;

use crate::args::SourceArgs;
use crate::error::{Error, Result};
use crate::guest::{Guest, Wanted};
use crate::host::{Host, Vm};
use crate::processor::Counted;
use crate::view::View;

/// A place that can be read again and again.
pub enum Source<'a> {
    /// By CPUID.
    Guest(Guest<'a>),
    /// By debugfs: one VM, or the host.
    Host(Host, Option<Vm>),
}

impl<'a> Source<'a> {
    /// Opens what the options name; this guest without any.
    pub fn open(args: &SourceArgs, cpu: &'a Counted<'a>) -> Result<Self> {
        let root = Path::new("/");
        match &args.vm {
            Some(name) => {
                let host = Host::open(root, cpu)?;
                let vm = host.find(name)?;
                Ok(Self::Host(host, Some(vm)))
            }
            None if args.host => Ok(Self::Host(Host::open(root, cpu)?, None)),
            None => Guest::open(cpu, args.cpu, args.layout).map(Self::Guest),
        }
    }

    /// Reads it.
    pub fn read(&self, wanted: Wanted) -> Result<View> {
        match self {
            Self::Guest(guest) => guest.read(wanted),
            Self::Host(host, vm) => host.read(vm.as_ref()),
        }
    }
}

/// Refuses a saved view where things change.
pub fn is_live(args: &SourceArgs) -> Result<()> {
    match args.from {
        Some(_) => Err(Error::Usage(
            "a saved view does not change: --from goes with `vmxscope exits`".into(),
        )),
        None => Ok(()),
    }
}
