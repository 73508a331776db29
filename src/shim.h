/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VMX_CAPS_SHIM_H
#define VMX_CAPS_SHIM_H

#include <linux/types.h>

struct seq_file;

/*
 * What Rust calls (machine.rs, entry.rs, module.rs), and the one function that
 * C calls there (entry.rs). The same signatures stand in those files.
 */

bool vmx_caps_probe(void);
void vmx_caps_cpus_read_lock(void);
void vmx_caps_cpus_read_unlock(void);
int vmx_caps_next_online_cpu(int cpu);
int vmx_caps_rdmsr(unsigned int cpu, u32 msr, u64 *value);
void vmx_caps_line(struct seq_file *file, bool warning, const char *text, size_t len);
int vmx_caps_start(void);
void vmx_caps_stop(void);

bool vmx_caps_report(struct seq_file *file);

#endif
