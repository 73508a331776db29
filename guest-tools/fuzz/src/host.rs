// SPDX-License-Identifier: GPL-2.0
//! What a host tells: KVM's tables in debugfs, and QEMU's monitor.

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;

use exit_stats::reason::Vendor;
use vmxscope::host;
use vmxscope::qmp::Qmp;
use vmxscope::view::{Scope, View};

use crate::exits;

/// A view from elsewhere is one that can be saved and shown.
fn shown(view: &View) {
    let json = serde_json::to_string(view).expect("a view can be saved");
    let again = View::parse(&json, "again").expect("what was saved can be read");
    assert_eq!(again, std::slice::from_ref(view));
    exits::views(json.as_bytes());
}

/// A file `exit_stats_raw`.
pub(crate) fn exit_stats_raw(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let empty = View::new(Scope::Vm, "vm".into(), 0);
    if let Ok(view) = host::parse(&text, "exit_stats_raw", empty) {
        shown(&view);
    }
}

/// A file `exit_stats_vcpus`.
pub(crate) fn exit_stats_vcpus(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for vcpu in host::parse_vcpus(&text, "exit_stats_vcpus").unwrap_or_default() {
        vcpu.up_to_now();
    }
}

/// A monitor that says this, whatever it is asked.
pub(crate) fn qmp(data: &[u8]) {
    // More does not fit into the socket's buffer, and this is the only thread.
    if data.len() > 64 << 10 {
        return;
    }
    for chosen in [None, Some(0)] {
        let (ours, mut theirs) = UnixStream::pair().expect("sockets");
        theirs.write_all(data).expect("room");
        theirs.shutdown(Shutdown::Write).expect("a socket");
        let socket = Path::new("/run/web1.sock");
        let Ok(qmp) = Qmp::over(ours, socket, chosen, 2_000_000, Vendor::Vmx) else {
            continue;
        };
        if let Ok(view) = qmp.read() {
            shown(&view);
        }
        for view in qmp.read_each().unwrap_or_default() {
            shown(&view);
        }
    }
}
