// SPDX-License-Identifier: GPL-2.0
//! What the kernel crate would bring: the end of what cannot go on.
//!
//! Nothing in this module can panic, so that the compiler leaves this out; but
//! it does not know that before it has optimized.

use core::arch::asm;
use core::panic::PanicInfo;

/// As the kernel's BUG(): the instruction that is never defined.
#[panic_handler]
fn panic(_info: &PanicInfo<'_>) -> ! {
    // SAFETY: The exception that it raises does not return here.
    unsafe { asm!("ud2", options(noreturn, nomem, nostack)) }
}
