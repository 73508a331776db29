// SPDX-License-Identifier: GPL-2.0
/*
 * The module's entry points on a kernel whose kernel crate cannot be used; on
 * others module.rs has them.
 */
#include <linux/init.h>
#include <linux/module.h>

#include "shim.h"

static int __init vmx_caps_init(void)
{
	return vmx_caps_start();
}

static void __exit vmx_caps_exit(void)
{
	vmx_caps_stop();
}

module_init(vmx_caps_init);
module_exit(vmx_caps_exit);
MODULE_DESCRIPTION("Logs the VMX capabilities of all CPUs");
MODULE_LICENSE("GPL");
