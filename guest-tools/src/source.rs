// SPDX-License-Identifier: GPL-2.0
//! Where figures come from: this guest, or VMs of this host.

use std::path::{Path, PathBuf};

use clap::Args;
use exit_stats::abi::{Layout, LAYOUTS};

use crate::error::{Error, Result};
use crate::guest::{layout_name, Guest, Wanted};
use crate::host::{Host, Vcpu, Vm};
use crate::platform;
use crate::processor::Counted;
use crate::qmp::Qmp;
use crate::tsc;
use crate::view::View;

/// Where figures come from: this guest, unless a VM is named.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Source")]
pub struct SourceArgs {
    /// Read on this CPU (default: the lowest that may be used)
    #[arg(long, value_name = "N")]
    pub cpu: Option<usize>,
    /// Read a host that has no discovery leaf by this layout of the course
    #[arg(long, value_name = "NAME", value_parser = layout)]
    pub layout: Option<Layout>,
    /// On a host: this VM, by the process or the name that `vmxscope vms` shows
    #[arg(short = 'p', long, value_name = "PID|NAME", conflicts_with_all = ["cpu", "layout"])]
    pub vm: Option<String>,
    /// On a host: all VMs together, with those that ended
    #[arg(long, conflicts_with_all = ["cpu", "layout", "vm"])]
    pub host: bool,
    /// On a host: the VM of this QEMU, by the socket of its -qmp unix:SOCKET,server=on,wait=off;
    /// counts and cycles of all its vCPUs
    #[arg(long, value_name = "SOCKET", conflicts_with_all = ["cpu", "layout", "vm", "host"])]
    pub qmp: Option<PathBuf>,
    /// Of that VM this vCPU only
    #[arg(long, value_name = "N", requires = "qmp",
          conflicts_with_all = ["cpu", "layout", "vm", "host", "root"])]
    pub vcpu: Option<u32>,
    /// The host's /sys and /proc are below this folder, as in a container
    #[arg(long, value_name = "DIR", conflicts_with_all = ["cpu", "layout", "qmp"])]
    pub root: Option<PathBuf>,
}

impl SourceArgs {
    /// Nothing else is named.
    pub fn is_this_guest(&self) -> bool {
        self.vm.is_none() && !self.host && self.qmp.is_none()
    }
}

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
            Self::Host(host, vm) if wanted.causes => host.read_with_causes(vm.as_ref()),
            Self::Host(host, vm) => host.read(vm.as_ref()),
            Self::Qmp(_) if wanted.causes => Err(Error::NoStatistics(
                "QEMU does not tell what made its VM's exits: on the host, name the VM by --vm"
                    .into(),
            )),
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

/// The layout of this name, for the command line.
fn layout(text: &str) -> std::result::Result<Layout, String> {
    let known = LAYOUTS
        .into_iter()
        .find(|layout| layout_name(*layout) == text);
    known.ok_or_else(|| {
        let names: Vec<String> = LAYOUTS.into_iter().map(layout_name).collect();
        format!("the layouts are {}", names.join(", "))
    })
}
