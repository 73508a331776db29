// SPDX-License-Identifier: GPL-2.0
//! The host's side: KVM's own figures of its VMs, from debugfs.

mod causes;
mod table;
mod vcpus;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use exit_stats::reader::CpuidReader;

use crate::error::{Error, Result};
use crate::text::harmless;
use crate::tsc;
use crate::view::{Counter, Scope, View};
pub use table::parse;
pub use vcpus::Vcpu;

/// KVM's folder, where it counts its exits itself.
const KVM: &str = "sys/kernel/debug/kvm";
/// That of the module that counts beside any other KVM.
const VMX_EXITS: &str = "sys/kernel/debug/vmx_exits";
/// The file for programs, of the host in KVM's folder, and of each VM in its own.
const RAW: &str = "exit_stats_raw";
/// The file of a VM that says what each of its vCPUs does.
const VCPUS: &str = "exit_stats_vcpus";
/// The file of a VM that says what made its exits.
const CAUSES: &str = "exit_stats_causes";

/// A host's KVM.
#[derive(Debug, Clone)]
pub struct Host {
    /// `/`, or a test's folder.
    root: PathBuf,
    /// Who counts: [`KVM`] or [`VMX_EXITS`].
    source: &'static str,
    /// Frequency of the clock of all cycles, where the kernel's table does not tell it.
    tsc_khz: u32,
}

/// One VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vm {
    /// The VMM's process.
    pub pid: u32,
    /// Its name, as far as the VMM was given one.
    pub name: String,
    /// How many vCPUs it has.
    pub vcpus: usize,
    folder: PathBuf,
}

impl Host {
    /// Looks whether KVM has exit statistics here.
    pub fn open(root: &Path, cpu: &(impl CpuidReader + ?Sized)) -> Result<Self> {
        let mut found = Err(io::ErrorKind::NotFound.into());
        for source in [KVM, VMX_EXITS] {
            found = fs::metadata(root.join(source).join(RAW)).map(|_| source);
            match &found {
                Err(error) if error.kind() == io::ErrorKind::NotFound => (),
                _ => break,
            }
        }
        match found {
            Ok(source) => Ok(Self {
                root: root.into(),
                source,
                tsc_khz: tsc::by_cpuid(cpu),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let why = if root.join(KVM).exists() {
                    "KVM is loaded, but it does not count its exits, and nothing beside it does.\n\
                     Load the module that does (package vmxscope-dkms): modprobe vmx_exits"
                } else if root.join("sys/kernel/debug/bdi").exists() {
                    "KVM is not loaded."
                } else {
                    "debugfs is not mounted on /sys/kernel/debug, or KVM is not loaded."
                };
                Err(Error::NoStatistics(format!(
                    "no exit statistics on this host: there is neither {} nor {}.\n{why}",
                    root.join(KVM).join(RAW).display(),
                    root.join(VMX_EXITS).join(RAW).display(),
                )))
            }
            Err(error) => Err(Error::system(
                format!("cannot look at {}: only root may", root.join(KVM).display()),
                error,
            )),
        }
    }

    /// Who counts here.
    pub fn counted_by(&self) -> Counter {
        match self.source {
            KVM => Counter::Kvm,
            _ => Counter::VmxExits,
        }
    }

    /// All VMs, by the number of their process.
    pub fn vms(&self) -> Result<Vec<Vm>> {
        let folder = self.root.join(self.source);
        let what = format!("cannot list {}", folder.display());
        let entries = fs::read_dir(&folder).map_err(|error| Error::system(what, error))?;
        let mut vms: Vec<Vm> = entries
            .flatten()
            .filter_map(|entry| self.vm_of(&entry.path()))
            .collect();
        vms.sort_by(|a, b| (a.pid, &a.folder).cmp(&(b.pid, &b.folder)));
        Ok(vms)
    }

    /// A folder is called after the process and its descriptor: `1234-14`.
    fn vm_of(&self, folder: &Path) -> Option<Vm> {
        let name = folder.file_name()?;
        let (pid, descriptor) = name.to_str()?.split_once('-')?;
        let pid = pid.parse().ok()?;
        // Whoever counts, vCPUs are KVM's.
        let kvm = self.root.join(KVM).join(name);
        let _: u32 = descriptor.parse().ok()?;
        let is_vcpu =
            |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with("vcpu");
        Some(Vm {
            pid,
            name: self.name_of(pid),
            vcpus: fs::read_dir(kvm).ok()?.flatten().filter(is_vcpu).count(),
            folder: folder.into(),
        })
    }

    /// What the VMM was told to call it; QEMU and libvirt do so by `-name`.
    fn name_of(&self, pid: u32) -> String {
        let process = self.root.join("proc").join(pid.to_string());
        let line = fs::read(process.join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        let mut words = line.split('\0').skip_while(|word| *word != "-name");
        if let Some(name) = words.nth(1) {
            let guest = name.split(',').find_map(|part| part.strip_prefix("guest="));
            return harmless(guest.or(name.split(',').next()).unwrap_or(name));
        }
        let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
        match name.trim() {
            "" => pid.to_string(),
            name => format!("{}-{pid}", harmless(name)),
        }
    }

    /// The VM of this process or name.
    pub fn find(&self, wanted: &str) -> Result<Vm> {
        let vms = self.vms()?;
        let fits = |vm: &&Vm| vm.pid.to_string() == wanted || vm.name == wanted;
        let found: Vec<&Vm> = vms.iter().filter(fits).collect();
        match found.as_slice() {
            [one] => Ok((*one).clone()),
            [] => {
                let names: Vec<String> = vms
                    .iter()
                    .map(|vm| format!("{} ({})", vm.name, vm.pid))
                    .collect();
                let there = match names.as_slice() {
                    [] => "there is none".into(),
                    _ => format!("there are {}", names.join(", ")),
                };
                Err(Error::Usage(format!("no VM is called {wanted:?}: {there}")))
            }
            _ => Err(Error::Usage(format!(
                "{wanted:?} fits several VMs: name one by its process"
            ))),
        }
    }

    /// The figures of a VM, or of all that there are and were.
    pub fn read(&self, vm: Option<&Vm>) -> Result<View> {
        let (file, text) = self.text(vm, RAW)?;
        let (kind, name) = match vm {
            Some(vm) => (Scope::Vm, vm.name.clone()),
            None => (Scope::Host, "host".into()),
        };
        let mut view = View::new(kind, name, self.tsc_khz);
        view.vcpus = vm.map(|vm| vm.vcpus);
        view.counted_by = Some(self.counted_by());
        let mut view = parse(&text, &file, view)?;
        if view.counted_by == Some(Counter::VmxExits) {
            (view.failed_entries, view.emulated_entries) = (None, None);
        }
        Ok(view)
    }

    /// The figures of a VM with what made its exits.
    ///
    /// # Errors
    ///
    /// That no VM is named; that the host keeps no causes.
    pub fn read_with_causes(&self, vm: Option<&Vm>) -> Result<View> {
        let vm = vm.ok_or_else(|| {
            Error::Usage(
                "what made exits is kept by VM: name one by --vm, or have ftrace count for all by \
                 `vmxscope causes --host`"
                    .into(),
            )
        })?;
        let mut view = self.read(Some(vm))?;
        let parameter = match self.counted_by() {
            Counter::Kvm => "kvm with exit_stats_causes=1",
            Counter::VmxExits => "vmx_exits with causes=1",
        };
        let kept = match vm.folder.exists() && !vm.folder.join(CAUSES).exists() {
            true => None,
            false => {
                let (file, text) = self.text(Some(vm), CAUSES)?;
                causes::parse(&text, &file)?
            }
        };
        let Some((causes, exits)) = kept else {
            return Err(Error::NoStatistics(format!(
                "this host does not keep what makes the exits of {}.\nLoad {parameter} before the \
                 VM is started; or have ftrace count for all VMs by `vmxscope causes --host`.",
                vm.name
            )));
        };
        // The two files are of one instant only if no vCPU ran in between.
        view.consistent &= exits == view.total.exits;
        view.causes = Some(causes);
        Ok(view)
    }

    /// What each vCPU of a VM does, and its totals, in their order.
    pub fn vcpus(&self, vm: &Vm) -> Result<Vec<Vcpu>> {
        let (file, text) = self.text(Some(vm), VCPUS)?;
        vcpus::parse(&text, &file)
    }

    /// A file of a VM, or of KVM: its name and what is in it.
    fn text(&self, vm: Option<&Vm>, name: &str) -> Result<(String, String)> {
        let folder = vm.map_or(self.root.join(self.source), |vm| vm.folder.clone());
        let file = folder.join(name).display().to_string();
        match fs::read_to_string(&file) {
            Ok(text) => Ok((file, text)),
            Err(error) => Err(match vm.filter(|_| !folder.exists()) {
                Some(vm) => Error::Unstable(format!("VM {} ({}) has ended", vm.name, vm.pid)),
                None => Error::system(format!("cannot read {file}"), error),
            }),
        }
    }
}
