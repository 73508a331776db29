// SPDX-License-Identifier: GPL-2.0
//! Logs, dumps and profiles of capabilities, and QEMU's complaints of them.

use vmxscope::caps::known::Known;
use vmxscope::caps::{compare, explain, need, parse, profile, qemu, show};
use vmxscope::format::{Form, TableForm};
use vmxscope::values;

use crate::printed;

const TABLE: TableForm = TableForm {
    json: false,
    csv: false,
};

fn form(json: bool, csv: bool) -> Form {
    Form {
        json,
        csv,
        prometheus: !json && !csv,
    }
}

fn json(known: &Known) -> String {
    let (text, result) = printed(|out| show::show(known, &form(true, false), out));
    result.expect("what is known can be shown");
    text
}

/// The log of the module, dumps of all kinds, and what `caps --json` saved.
pub(crate) fn capabilities(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let bare = parse::text(&text, "input", Some(0x480));
    let Ok(known) = parse::text(&text, "input", None).or(bare) else {
        return;
    };
    let saved = json(&known);
    let again = parse::text(&saved, "input", None).expect("what was saved can be read");
    assert_eq!(again.caps, known.caps, "{saved}");
    assert_eq!(json(&again), saved);
    for form in [Form::default(), form(false, true), form(false, false)] {
        let _ = printed(|out| show::show(&known, &form, out));
    }
    let (_, same) = printed(|out| compare::diff(&known, &again, &TABLE, out));
    assert_eq!(
        same.expect("it can be compared"),
        0,
        "it differs from itself"
    );
    let machines = [known, again];
    let _ = printed(|out| compare::common(&machines, &Form::default(), out));
    let pool = compare::pool(&machines);
    let _ = printed(|out| qemu::option(&pool, out));
    let _ = printed(|out| qemu::xml(&pool, out));
    let model = need::profile("Haswell-v2".as_ref()).expect("a model of QEMU's");
    let _ = printed(|out| need::run(&model, &pool, &TABLE, out));
}

/// What `caps need` takes.
pub(crate) fn profiles(data: &[u8]) {
    let Ok(profile) = profile::parse(&String::from_utf8_lossy(data), "input") else {
        return;
    };
    let half = [(0x480, 1 << 55), (0x48d, 0x7f_0000_0016), (0x485, !0)];
    let known = Known::of_values("values", &half.into_iter().collect());
    for (json, csv) in [(false, false), (true, false), (false, true)] {
        let form = TableForm { json, csv };
        let _ = printed(|out| need::run(&profile, &known, &form, out));
    }
}

/// A log of QEMU's.
pub(crate) fn complaints(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for (json, csv) in [(false, false), (true, false), (false, true)] {
        let form = TableForm { json, csv };
        let _ = printed(|out| explain::log(&text, "input", &form, out));
    }
}

/// Values on the command line.
pub(crate) fn words(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = (values::number(&text), values::duration(&text));
    let _ = parse::assignment(&text);
}
