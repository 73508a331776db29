// SPDX-License-Identifier: GPL-2.0
//! What made the exits, on the page.

use maud::{html, Markup};

use crate::causes::advice::{that_applies, Advice};
use crate::causes::model::{Cause, Causes};
use crate::causes::names::{action, key, Names};
use crate::causes::show::how_exact;
use crate::causes::SHOWN;
use crate::report::facts::Facts;
use crate::units::{grouped, percent, time};

/// The section of a recording that has causes; nothing of another.
pub(super) fn section(facts: &Facts, suffix: &str) -> Markup {
    let seconds = (facts.seconds > 0.0).then_some(facts.seconds);
    let causes = Causes::of(&facts.added, seconds).filter(|causes| causes.exits != 0);
    // The tables that are built in can be read: a test does.
    let (Some(causes), Ok(names)) = (causes, Names::of_recording(&facts.functions)) else {
        return html! {};
    };
    let advice = that_applies(&causes).unwrap_or_default();
    html! {
        section {
            h2 { "What made the exits" (suffix) }
            p.dim { (how_exact(&causes)) }
            (table(&causes, &causes.causes, ["what", "key", "name"], |cause| [
                action(cause.kind).into(),
                key(cause),
                names.of(cause).unwrap_or_default(),
            ]))
            h3 { "Where the guest's code was" }
            (table(&causes, &causes.places, ["reason", "address", "function"], |cause| {
                let rip = cause.rip.unwrap_or_default();
                [
                    cause.reason.map(|reason| causes.symbol(reason)).unwrap_or_default(),
                    format!("{rip:#x}"),
                    names.function(rip).unwrap_or_default(),
                ]
            }))
            @if !advice.is_empty() { (what_to_do(&advice)) }
        }
    }
}

fn table(
    causes: &Causes,
    rows: &[Cause],
    heads: [&str; 3],
    words: impl Fn(&Cause) -> [String; 3],
) -> Markup {
    html! {
        .scroll {
            table {
                tr {
                    @for head in ["exits", "share", "time"] { th { (head) } }
                    @for head in heads { th.w { (head) } }
                }
                @for cause in rows.iter().take(SHOWN) {
                    tr {
                        td { (grouped(cause.exits)) }
                        td { (percent(cause.exits, causes.exits)) }
                        td { (causes.time(cause).map_or("-".into(), time)) }
                        @for word in words(cause) { td.w { (word) } }
                    }
                }
            }
        }
    }
}

fn what_to_do(advice: &[Advice]) -> Markup {
    html! {
        h3 { "What to do about it" }
        ul {
            @for advice in advice {
                li { (advice.line()) " " span.dim { "(" (advice.source) ")" } }
            }
        }
    }
}
