// SPDX-License-Identifier: GPL-2.0
//! Where figures come from: this guest, or VMs of this host.

use std::path::Path;

use crate::args::SourceArgs;
use crate::error::{Error, Result};
use crate::guest::{Guest, Wanted};
use crate::host::{Host, Vcpu, Vm};
use crate::platform;
use crate::processor::Counted;
use crate::qmp::Qmp;
use crate::tsc;
use crate::view::View;

/// A place that can be read again and again.
pub enum Source<'a> {
    /// By CPUID.
    Guest(Box<Guest<'a>>),
    /// By debugfs: one VM, or the host.
    Host(Host, Option<Vm>),
    /// By a QEMU: a VM, or one of its vCPUs.
    Qmp(Qmp),
}

impl<'a> Source<'a> {
    /// Opens what the options name; this guest without any.
    pub fn open(args: &SourceArgs, cpu: &'a Counted<'a>) -> Result<Self> {
        let root = root(args.root.as_deref());
        if let Some(socket) = &args.qmp {
            return Ok(Self::Qmp(Qmp::open(
                socket,
                args.vcpu,
                tsc::by_cpuid(cpu),
                platform::vendor(cpu),
            )?));
        }
        match &args.vm {
            Some(name) => {
                let host = Host::open(root, cpu)?;
                let vm = host.find(name)?;
                Ok(Self::Host(host, Some(vm)))
            }
            None if args.host => Ok(Self::Host(Host::open(root, cpu)?, None)),
            None if args.root.is_some() => Err(Error::Usage(
                "--root is where a host's files are: name --host, or a VM with --vm".into(),
            )),
            None => Ok(Self::Guest(Box::new(Guest::open(
                cpu,
                args.cpu,
                args.layout,
            )?))),
        }
    }

    /// Reads it.
    pub fn read(&self, wanted: Wanted) -> Result<View> {
        match self {
            Self::Guest(guest) => guest.read(wanted),
            Self::Host(host, vm) => host.read(vm.as_ref()),
            Self::Qmp(qmp) => qmp.read(),
        }
    }

    /// What each vCPU does, where the host's own files tell it: of one of its VMs.
    pub fn vcpus(&self) -> Result<Vec<Vcpu>> {
        match self {
            Self::Host(host, Some(vm)) => host.vcpus(vm),
            _ => Ok(Vec::new()),
        }
    }
}

/// The folder below which the host's files are.
pub fn root(named: Option<&Path>) -> &Path {
    named.unwrap_or(Path::new("/"))
}
