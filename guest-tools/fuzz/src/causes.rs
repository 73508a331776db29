// SPDX-License-Identifier: GPL-2.0
//! ftrace's tables, saved causes, and the guest's files that name them.

use vmxscope::args::{Folded, GuestFiles};
use vmxscope::causes::model::{Cause, CauseKind, Causes};
use vmxscope::causes::names::Names;
use vmxscope::causes::{folded, show};
use vmxscope::tracing::kvm::of_hists;

use crate::{printed, Input};

/// In all forms.
fn shown(causes: &Causes, names: &Names) {
    let (saved, result) = printed(|out| show::json(causes, names, out));
    result.expect("causes can be saved");
    let again = Causes::parse(&saved, "again").expect("what was saved can be read");
    assert_eq!(&again, causes, "{saved}");
    for what in [Folded::Causes, Folded::Places] {
        let _ = printed(|out| folded::print(causes, what, names, out));
    }
    let _ = printed(|out| show::csv(causes, names, out));
    let _ = printed(|out| show::prometheus(causes, 3, names, out));
    let _ = printed(|out| show::tables(causes, 3, names, out));
}

fn built_in() -> Names {
    Names::read(&GuestFiles::default()).expect("the tables that are built in")
}

/// `hist` files, each after a line with the name of its event.
pub(crate) fn hist(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let parts = text.split("=== ").filter_map(|part| part.split_once('\n'));
    let files = parts.map(|(event, text)| (event, event, text));
    if let Ok(causes) = of_hists(files, 20.0) {
        shown(&causes, &built_in());
    }
}

/// What `causes --json` saved.
pub(crate) fn causes(data: &[u8]) {
    if let Ok(causes) = Causes::parse(&String::from_utf8_lossy(data), "input") {
        shown(&causes, &built_in());
    }
}

/// A guest's System.map, /proc/ioports or /proc/iomem.
pub(crate) fn names(data: &[u8]) {
    let input = Input::new(data);
    let file = || Some(input.path.clone());
    let none = GuestFiles::default;
    for files in [
        GuestFiles {
            symbols: file(),
            ..none()
        },
        GuestFiles {
            ioports: file(),
            ..none()
        },
        GuestFiles {
            iomem: file(),
            ..none()
        },
    ] {
        let Ok(names) = Names::read(&files) else {
            continue;
        };
        for number in [0, 0x70, 0xfec0_0000, 0xffff_ffff_8100_0010, u64::MAX] {
            names.function(number);
            for kind in [CauseKind::PortIn, CauseKind::MmioWrite] {
                names.of(&Cause::counted(kind, Some(number), 1));
            }
        }
    }
}
