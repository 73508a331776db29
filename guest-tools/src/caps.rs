// SPDX-License-Identifier: GPL-2.0
//! `vmxscope caps`: what a CPU can do for virtual machines.

pub mod compare;
pub mod explain;
pub mod json;
pub mod known;
pub mod kvm;
pub mod live;
pub mod need;
pub mod parse;
pub mod show;
pub mod vmxcap;

use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use vmx_caps::report;
use vmx_caps::tables::by_index;

use crate::args::{CapsArgs, CapsCommand};
use crate::error::{status, Error, Result};
use crate::exits::read;
use crate::output::Output;
use crate::processor::Processor;
use known::{Known, SOME_VMX_CPU};

/// Runs the command.
pub fn run(args: &CapsArgs, processor: &dyn Processor, out: &mut Output<'_>) -> Result<u8> {
    let read = |name: &str| from(name, args.first, processor);
    if let Some(
        CapsCommand::Diff { .. } | CapsCommand::Common { .. } | CapsCommand::Explain { .. },
    ) = &args.command
    {
        if args.from.is_some() || !args.msr.is_empty() {
            return Err(Error::Usage(
                "--from and --msr before a subcommand go with `need` only: the others are \
                 told all by what stands behind them"
                    .into(),
            ));
        }
    }
    match &args.command {
        None => {
            let known = input(args, None, processor)?;
            if args.log {
                log(&known, out)?;
            } else {
                show::show(&known, &args.form, out)?;
            }
            notes(&known);
            Ok(status::OK)
        }
        Some(CapsCommand::Diff { a, b }) => {
            let (a, b) = (read(a)?, read(b)?);
            notes(&a);
            notes(&b);
            compare::diff(&a, &b, &args.form, out)
        }
        Some(CapsCommand::Common { files }) => {
            let machines = files
                .iter()
                .map(|file| read(file))
                .collect::<Result<Vec<Known>>>()?;
            machines.iter().for_each(notes);
            compare::common(&machines, &args.form, out)?;
            Ok(status::OK)
        }
        Some(CapsCommand::Need { profile, from }) => {
            let profile = need::profile(profile)?;
            let known = input(args, from.as_deref(), processor)?;
            notes(&known);
            need::run(&profile, &known, &args.form, out)
        }
        Some(CapsCommand::Explain { msr, have, need }) => {
            let msr = by_index(*msr)
                .ok_or_else(|| Error::Usage(format!("--msr {msr:#x} is no VMX capability MSR")))?;
            explain::run(msr, *have, *need, &args.form, out)
        }
    }
}

/// The machine that the options name: this one without any.
fn input(args: &CapsArgs, file: Option<&str>, processor: &dyn Processor) -> Result<Known> {
    if let Some(file) = file {
        return from(file, args.first, processor);
    }
    if !args.msr.is_empty() {
        return Ok(Known::of_values(
            "the command line",
            &args.msr.iter().copied().collect(),
        ));
    }
    from(
        args.from.as_deref().unwrap_or("live"),
        args.first,
        processor,
    )
}

/// A file, `-`, `live` for this machine, or `nested` for what its KVM offers.
fn from(name: &str, first: Option<u32>, processor: &dyn Processor) -> Result<Known> {
    if name == "live" {
        return live::read(processor, Path::new("/"));
    }
    if name == "nested" {
        return kvm::nested();
    }
    parse::text(&read(Path::new(name))?, name, first)
}

/// What has to be known about the input goes beside the output.
fn notes(known: &Known) {
    for note in &known.notes {
        let _ = writeln!(io::stderr(), "vmxscope: {}: {note}", known.source);
    }
}

/// Prints what the kernel module logs of these values.
fn log(known: &Known, out: &mut Output<'_>) -> Result<()> {
    struct Text<'a, 'b>(&'a mut Output<'b>, std::io::Result<()>);
    impl fmt::Write for Text<'_, '_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.1 = self.0.write_all(text.as_bytes());
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
    Ok(text.1?)
}
