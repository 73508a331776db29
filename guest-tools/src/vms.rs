// SPDX-License-Identifier: GPL-2.0
//! `vmxscope vms`: the VMs of this host.

use serde::Serialize;

use crate::args::VmsArgs;
use crate::error::{Error, Result};
use crate::format;
use crate::host::{Host, Vm};
use crate::output::Output;
use crate::processor::Processor;
use crate::source::root;
use crate::table::{self, figures, words, Column};
use crate::units::{grouped, time};
use crate::view::{Row, View};

const COLUMNS: [Column; 8] = [
    figures("pid", 0),
    words("name"),
    figures("vcpus", 1),
    figures("exits", 0),
    figures("handling", 0),
    figures("blocked", 3),
    figures("userspace", 2),
    words("most time in"),
];

#[derive(Serialize)]
struct VmRow<'a> {
    pid: Option<u32>,
    name: &'a str,
    vcpus: Option<usize>,
    exits: u64,
    cycles: u64,
    seconds: Option<f64>,
    blocked_cycles: u64,
    userspace_cycles: u64,
}

/// Runs the command. A VM that cannot be read leaves the others as they are; its error is
/// told after them.
pub fn run(args: &VmsArgs, processor: &dyn Processor, out: &mut Output<'_>) -> Result<()> {
    let host = Host::open(root(args.root.as_deref()), processor)?;
    list(&host, args, out)
}

/// VMs with their figures, and the errors of those that cannot be read.
pub type Read = (Vec<(Vm, View)>, Vec<Error>);

/// Reads each VM that runs now.
pub fn each(host: &Host) -> Result<Read> {
    let (mut views, mut errors) = (Vec::new(), Vec::new());
    for vm in host.vms()? {
        match host.read(Some(&vm)) {
            Ok(view) => views.push((vm, view)),
            // It ended meanwhile.
            Err(Error::Unstable(_)) => (),
            Err(error) => errors.push(error),
        }
    }
    Ok((views, errors))
}

/// The figures of each VM, under names of which none occurs twice, because Prometheus
/// would refuse them all; and the errors of those that cannot be read.
pub fn views(host: &Host) -> Result<(Vec<View>, Vec<Error>)> {
    let (all, errors) = each(host)?;
    let names: Vec<String> = all.iter().map(|(vm, _)| vm.name.clone()).collect();
    let views = all.into_iter().map(|(vm, mut view)| {
        if names.iter().filter(|name| **name == vm.name).count() > 1 {
            view.vm = format!("{}-{}", vm.name, vm.pid);
        }
        view
    });
    Ok((views.collect(), errors))
}

/// Lists the VMs of a host.
pub fn list(host: &Host, args: &VmsArgs, out: &mut Output<'_>) -> Result<()> {
    let errors = if args.form.prometheus {
        // The host's sum would be counted twice.
        let (views, errors) = views(host)?;
        format::prometheus(out, &views)?;
        errors
    } else {
        table(host, args, out)?
    };
    errors.into_iter().next().map_or(Ok(()), Err)
}

fn table(host: &Host, args: &VmsArgs, out: &mut Output<'_>) -> Result<Vec<Error>> {
    let (vms, errors) = each(host)?;
    let mut views: Vec<(Option<Vm>, View)> =
        vms.into_iter().map(|(vm, view)| (Some(vm), view)).collect();
    views.push((None, host.read(None)?));
    let lines = || views.iter().map(|(vm, view)| line(vm.as_ref(), view));
    if args.form.json {
        out.json(&lines().collect::<Vec<VmRow<'_>>>())?;
    } else if args.form.csv {
        out.csv(lines())?;
    } else {
        let rows: Vec<Vec<String>> = views
            .iter()
            .map(|(vm, view)| cells(vm.as_ref(), view))
            .collect();
        table::print(out, &COLUMNS, &rows, 1)?;
        if views.len() == 1 && errors.is_empty() {
            writeln!(out, "No VM runs now.")?;
        }
        writeln!(out, "Counted by {}.", host.counted_by())?;
    }
    Ok(errors)
}

fn line<'a>(vm: Option<&'a Vm>, view: &'a View) -> VmRow<'a> {
    VmRow {
        pid: vm.map(|vm| vm.pid),
        name: &view.vm,
        vcpus: vm.map(|vm| vm.vcpus),
        exits: view.total.exits,
        cycles: view.total.cycles,
        seconds: view.seconds(view.total.cycles),
        blocked_cycles: view.total.blocked,
        userspace_cycles: view.total.userspace,
    }
}

fn cells(vm: Option<&Vm>, view: &View) -> Vec<String> {
    let clock = |cycles| view.nanoseconds(cycles).map_or("-".into(), time);
    let dearest = view
        .reasons
        .iter()
        .filter(|row| row.cycles != 0)
        .max_by_key(|row| row.cycles);
    vec![
        vm.map_or(String::new(), |vm| vm.pid.to_string()),
        vm.map_or("all, with those that ended".into(), |vm| vm.name.clone()),
        vm.map_or(String::new(), |vm| vm.vcpus.to_string()),
        grouped(view.total.exits),
        clock(view.total.cycles),
        clock(view.total.blocked),
        clock(view.total.userspace),
        dearest.map_or("-".into(), |row: &Row| row.name.to_string()),
    ]
}
