// SPDX-License-Identifier: GPL-2.0
//! The module's entry points on a kernel whose kernel crate can be used; on
//! others they are in `init.c`.

use kernel::error::to_result;
use kernel::prelude::*;

extern "C" {
    // src/shim.h
    fn vmx_caps_start() -> i32;
    fn vmx_caps_stop();
}

module! {
    type: VmxCaps,
    name: "vmx_caps",
    description: "Logs the VMX capabilities of all CPUs",
    license: "GPL",
}

/// The loaded module.
struct VmxCaps;

impl kernel::Module for VmxCaps {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        // SAFETY: It may be called once, before anything else of the module.
        to_result(unsafe { vmx_caps_start() })?;
        Ok(Self)
    }
}

impl Drop for VmxCaps {
    fn drop(&mut self) {
        // SAFETY: There is a value of this type only after a start that succeeded.
        unsafe { vmx_caps_stop() };
    }
}
