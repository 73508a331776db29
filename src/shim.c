// SPDX-License-Identifier: GPL-2.0
/*
 * What Rust cannot say on every kernel that vmx_caps is built for: a module
 * parameter (the module! macro of 6.12 has none), and functions that are
 * static inline in C, or are so without CONFIG_SMP.
 */
#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <asm/msr.h>

#include "shim.h"

static bool probe;
module_param(probe, bool, 0444);
MODULE_PARM_DESC(probe, "Also read the MSRs that are not enumerated (default: no)");

bool vmx_caps_probe(void)
{
	return probe;
}

void vmx_caps_cpus_read_lock(void)
{
	cpus_read_lock();
}

void vmx_caps_cpus_read_unlock(void)
{
	cpus_read_unlock();
}

/* The next online CPU after @cpu (-1: the first one), or -1 if there is none. */
int vmx_caps_next_online_cpu(int cpu)
{
	unsigned int next = cpumask_next(cpu, cpu_online_mask);

	return next < nr_cpu_ids ? next : -1;
}

/* Returns 0, or -EIO if RDMSR raised #GP; *@value is set only if 0. */
int vmx_caps_rdmsr(unsigned int cpu, u32 msr, u64 *value)
{
	/* EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI */
	u32 regs[8] = { [1] = msr };
	int err = rdmsr_safe_regs_on_cpu(cpu, regs);

	if (!err)
		*value = regs[0] | (u64)regs[2] << 32;
	return err;
}
