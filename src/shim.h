/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VMX_CAPS_SHIM_H
#define VMX_CAPS_SHIM_H

#include <linux/types.h>

/*
 * What src/machine.rs calls. The same signatures stand there; both files are
 * short so that they can be compared at a glance.
 */

bool vmx_caps_probe(void);
void vmx_caps_cpus_read_lock(void);
void vmx_caps_cpus_read_unlock(void);
int vmx_caps_next_online_cpu(int cpu);
int vmx_caps_rdmsr(unsigned int cpu, u32 msr, u64 *value);

#endif
