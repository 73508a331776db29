// SPDX-License-Identifier: GPL-2.0
//! Saved views and recordings.

use exit_stats::abi::Regs;
use exit_stats::reader::CpuidReader;
use vmxscope::args::{DiffArgs, ExitsArgs, ReportArgs};
use vmxscope::format::{Form, TableForm};
use vmxscope::processor::Processor;
use vmxscope::view::{Sort, View};
use vmxscope::{diff, exits, report};

use crate::{printed, Input};

/// A processor that nobody may ask.
struct Nobody;

impl CpuidReader for Nobody {
    fn cpuid(&self, leaf: u32, _: u32) -> Regs {
        panic!("CPUID {leaf:#x} was executed to show a file");
    }
}

impl Processor for Nobody {
    fn cpus(&self) -> std::io::Result<Vec<usize>> {
        panic!("the CPUs were asked for to show a file");
    }

    fn pin(&self, _: usize) -> std::io::Result<()> {
        panic!("the thread was pinned to show a file");
    }

    fn release(&self) -> std::io::Result<()> {
        panic!("the thread was released to show a file");
    }

    fn machine(&self) -> String {
        panic!("the machine was named to show a file");
    }
}

fn show(args: &ExitsArgs) -> (String, bool) {
    let (text, result) = printed(|out| exits::run(args, &Nobody, out));
    (text, result.is_ok())
}

/// `vmxscope exits --from` in all forms, and beside itself as a baseline.
pub(crate) fn views(data: &[u8]) {
    let input = Input::new(data);
    let args = ExitsArgs {
        from: Some(input.path.clone()),
        ..ExitsArgs::default()
    };
    let json = Form {
        json: true,
        ..Form::default()
    };
    let (saved, is_ok) = show(&ExitsArgs {
        form: json,
        ..args.clone()
    });
    let text = String::from_utf8_lossy(data);
    assert_eq!(is_ok, View::parse(&text, "input").is_ok());
    if !is_ok {
        return;
    }
    let again = Input::new(saved.as_bytes());
    let (shown, is_ok) = show(&ExitsArgs {
        from: Some(again.path.clone()),
        form: json,
        ..ExitsArgs::default()
    });
    assert!(is_ok && shown == saved, "{saved} became {shown}");
    for form in [
        Form::default(),
        Form {
            csv: true,
            ..Form::default()
        },
        Form {
            prometheus: true,
            ..Form::default()
        },
    ] {
        let (_, is_ok) = show(&ExitsArgs {
            form,
            ..args.clone()
        });
        assert!(is_ok);
    }
    show(&ExitsArgs {
        baseline: Some(input.path.clone()),
        sort: Sort::Count,
        top: Some(1),
        ..args.clone()
    });
    show(&ExitsArgs {
        reason: vec!["10".into(), "hlt".into()],
        ..args
    });
}

/// What takes a recording: `report`, `diff`, and `exits --baseline`.
pub(crate) fn recordings(data: &[u8]) {
    let input = Input::new(data);
    let path = &input.path;
    let page = printed(|out| {
        let files = vec![path.clone(), path.clone()];
        report::run(
            &ReportArgs {
                files,
                output: None,
            },
            out,
        )
    });
    for (json, csv) in [(false, false), (true, false), (false, true)] {
        let (_, compared) = printed(|out| {
            let args = DiffArgs {
                a: path.clone(),
                b: path.clone(),
                sort: Sort::Count,
                top: None,
                form: TableForm { json, csv },
            };
            diff::run(&args, out)
        });
        assert_eq!(compared.is_ok(), page.1.is_ok());
    }
    let view = View::new(vmxscope::view::Scope::Vm, "vm".into(), 1_000_000);
    if let Ok(baseline) = vmxscope::baseline::Baseline::open(path) {
        baseline.words(&view, Some(1.0));
    }
}
