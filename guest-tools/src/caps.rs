// SPDX-License-Identifier: GPL-2.0
//! `vmxscope caps`: what a CPU can do for virtual machines.

pub mod aida64;
pub mod compare;
pub mod explain;
pub mod json;
pub mod known;
pub mod kvm;
pub mod live;
pub mod models;
pub mod need;
pub mod parse;
pub mod profile;
pub mod qemu;
pub mod show;
pub mod vmxcap;

use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use vmx_caps::report;
use vmx_caps::tables::by_index;

use crate::args::{BareArgs, CapsArgs, CapsCommand, MachineArgs};
use crate::error::{status, Error, Result};
use crate::input::read;
use crate::output::Output;
use crate::processor::Processor;
use crate::text;
use known::{Known, SOME_VMX_CPU};

/// Runs the command.
pub fn run(args: &CapsArgs, processor: &dyn Processor, out: &mut Output<'_>) -> Result<u8> {
    match &args.command {
        None => {
            let known = input(&args.machine, processor)?;
            if args.log {
                log(&known, out)?;
            } else {
                show::show(&known, &args.form, out)?;
            }
            notes(&known);
            Ok(status::OK)
        }
        Some(CapsCommand::Diff { a, b, bare, form }) => {
            let (a, b) = (from(a, bare, processor)?, from(b, bare, processor)?);
            notes(&a);
            notes(&b);
            compare::diff(&a, &b, form, out)
        }
        Some(CapsCommand::Common {
            files,
            words,
            bare,
            form,
        }) => {
            let machines = files
                .iter()
                .map(|file| from(file, bare, processor))
                .collect::<Result<Vec<Known>>>()?;
            machines.iter().for_each(notes);
            match (words.qemu, words.libvirt) {
                (true, _) => qemu::option(&compare::pool(&machines), out)?,
                (_, true) => qemu::xml(&compare::pool(&machines), out)?,
                _ => compare::common(&machines, form, out)?,
            }
            Ok(status::OK)
        }
        Some(CapsCommand::Need {
            profile,
            machine,
            form,
        }) => {
            let profile = need::profile(profile)?;
            let known = input(machine, processor)?;
            notes(&known);
            need::run(&profile, &known, form, out)
        }
        Some(CapsCommand::Explain {
            file: Some(file),
            form,
            ..
        }) => explain::log(&read(file)?, &file.display().to_string(), form, out),
        Some(CapsCommand::Explain {
            file: None,
            msr,
            have,
            need,
            form,
        }) => {
            let msr = msr.unwrap_or_default();
            let msr = by_index(msr)
                .ok_or_else(|| Error::Usage(format!("--msr {msr:#x} is no VMX capability MSR")))?;
            let masks = (have.unwrap_or_default(), need.unwrap_or_default());
            explain::run(msr, masks.0, masks.1, form, out)
        }
    }
}

/// The machine that the options name: this one without any.
fn input(args: &MachineArgs, processor: &dyn Processor) -> Result<Known> {
    if !args.msr.is_empty() {
        return Ok(Known::of_values(
            "the command line",
            &args.msr.iter().copied().collect(),
        ));
    }
    let file = args.from.as_deref().unwrap_or(Path::new("live"));
    from(file, &args.bare, processor)
}

/// A file, `-`, `live` for this machine, or `nested` for what its KVM offers.
fn from(file: &Path, bare: &BareArgs, processor: &dyn Processor) -> Result<Known> {
    if file == Path::new("live") {
        return live::read(processor, Path::new("/"));
    }
    if file == Path::new("nested") {
        return kvm::nested();
    }
    parse::text(&read(file)?, &file.display().to_string(), bare.first)
}

/// What has to be known about the input goes beside the output.
fn notes(known: &Known) {
    for note in &known.notes {
        let note = text::harmless(note);
        let _ = writeln!(io::stderr(), "vmxscope: {}: {note}", known.source);
    }
}

/// Prints what the kernel module logs of these values.
fn log(known: &Known, out: &mut Output<'_>) -> Result<()> {
    struct Text<'a, 'b>(&'a mut Output<'b>, Result<()>);
    impl fmt::Write for Text<'_, '_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.1 = self.0.bytes(text.as_bytes());
            self.1.as_ref().map_err(|_| fmt::Error).copied()
        }
    }
    let mut text = Text(out, Ok(()));
    let mut plain = report::Plain::new(&mut text);
    report::of_values(&known.caps, &mut plain);
    report::conclusion(
        known.identity.as_ref().unwrap_or(&SOME_VMX_CPU),
        &known.caps,
        &mut plain,
    );
    text.1
}
