// SPDX-License-Identifier: GPL-2.0
//! `vmxscope leaf`: registers as they are, in the format of the cpuid program.

use exit_stats::abi::Regs;
use exit_stats::reader::CpuidReader;
use serde::Serialize;

use crate::args::LeafArgs;
use crate::error::{Error, Result};
use crate::guest::pin_to;
use crate::output::Output;
use crate::processor::Processor;

#[derive(Serialize)]
struct Registers {
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<usize>,
    leaf: u32,
    subleaf: u32,
    eax: u32,
    ebx: u32,
    ecx: u32,
    edx: u32,
}

/// Runs the command.
pub fn run(args: &LeafArgs, processor: &dyn Processor, out: &mut Output<'_>) -> Result<()> {
    let cpus = match (args.all_cpus, args.cpu) {
        (true, _) => processor
            .cpus()
            .map_err(|error| Error::system("cannot ask which CPUs may be used", error))?
            .into_iter()
            .map(Some)
            .collect(),
        (false, one) => vec![one],
    };
    let mut answers = Vec::new();
    for cpu in cpus {
        if cpu.is_some() {
            pin_to(processor, cpu)?;
        }
        for subleaf in args.subleaf.0..=args.subleaf.1 {
            answers.push(ask(processor, cpu, args.leaf, subleaf));
        }
    }
    if args.form.json {
        out.json(&answers)
    } else if args.form.csv {
        out.csv(&answers)
    } else {
        text(&answers, out)
    }
}

fn ask(
    cpuid: &(impl CpuidReader + ?Sized),
    cpu: Option<usize>,
    leaf: u32,
    subleaf: u32,
) -> Registers {
    let Regs { eax, ebx, ecx, edx } = cpuid.cpuid(leaf, subleaf);
    Registers {
        cpu,
        leaf,
        subleaf,
        eax,
        ebx,
        ecx,
        edx,
    }
}

fn text(answers: &[Registers], out: &mut Output<'_>) -> Result<()> {
    let mut heading = None;
    for answer in answers {
        if heading != Some(answer.cpu) {
            match answer.cpu {
                Some(cpu) => writeln!(out, "CPU {cpu}:")?,
                None => writeln!(out, "CPU:")?,
            }
            heading = Some(answer.cpu);
        }
        writeln!(
            out,
            "   {:#010x} {:#04x}: eax={:#010x} ebx={:#010x} ecx={:#010x} edx={:#010x}",
            answer.leaf, answer.subleaf, answer.eax, answer.ebx, answer.ecx, answer.edx
        )?;
    }
    Ok(())
}
