// SPDX-License-Identifier: GPL-2.0
//! Expect that capabilities are read out of what people have, and that no input, be
//! it what it may, does worse than an error.

#[path = "../common/mod.rs"]
mod common;
mod comparing;
mod qemu;
mod reading;

use tempfile::TempDir;
use vmxscope::caps::known::Known;
use vmxscope::caps::parse;

/// The i5-9300H under VMware of a published solution to the course.
pub(crate) const COURSE: &str = "\
[  812.40] CMPE 283 Assignment 1 Module Start
[  812.41] Pinbased Controls MSR: 0x3f00000016
[  812.41]   External Interrupt Exiting: Can set=Yes, Can clear=Yes
[  812.42] Primary Procbased Controls MSR: 0xfff9fffe0401e172
[  812.43] Secondary Procbased Controls MSR: 0x553cfe00000000
[  812.44] VM-Entry Controls MSR: 0xf3ff000011ff
[  812.45] VM-Exit Controls MSR: 0x3fffff00036dff
";

/// Lines as VirtualBox logs them; the values were published.
pub(crate) const VIRTUALBOX: &str = "\
00:00:02.114 HM: Using VT-x implementation 3.0
00:00:02.114 HM: Feature control MSR               = 0x5
00:00:02.114 HM: MSR_IA32_VMX_BASIC                = 0xda040000000004
00:00:02.114 HM:   VMCS id                         = 0x4
00:00:02.114 HM: MSR_IA32_VMX_PINBASED_CTLS        = 0x7f00000016
00:00:02.114 HM: MSR_IA32_VMX_TRUE_PROCBASED_CTLS  = 0xfff9fffe04006172
00:00:02.114 HM: MSR_IA32_VMX_CR0_FIXED0           = 0x80000021
00:00:02.114 HM: MSR_IA32_VMX_CR0_FIXED1           = 0xffffffff
00:00:02.114 HM: MSR_IA32_VMX_EPT_VPID_CAP         = 0xf0106734141
";

pub(crate) fn read(text: &str) -> Known {
    parse::text(text, "test", None).unwrap()
}

/// Files for the program, in a folder that goes with this.
pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Writes one; gives its name.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let file = self.0.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().into()
    }
}
