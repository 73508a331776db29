// SPDX-License-Identifier: GPL-2.0
/*
 * What Rust cannot say on every kernel that vmx_caps is built for: a module
 * parameter, lines of the kernel log and of a debugfs file, and functions that
 * are static inline in C, or are so without CONFIG_SMP.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/printk.h>
#include <linux/seq_file.h>
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

/* One line of text without a line feed: to @file, or to the kernel log if that is NULL. */
void vmx_caps_line(struct seq_file *file, bool warning, const char *text, size_t len)
{
	if (file)
		seq_printf(file, "%.*s\n", (int)len, text);
	else if (warning)
		pr_warn("%.*s\n", (int)len, text);
	else
		pr_info("%.*s\n", (int)len, text);
}

/*
 * The log as a file. Every read of it reads the CPUs again, so it also tells
 * what a later microcode update or a CPU that came online has changed.
 */
static int report_show(struct seq_file *file, void *unused)
{
	vmx_caps_report(file);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(report);

static struct dentry *directory;

/* Logs everything. Returns 0, or -ENODEV if the CPUs have no VMX. */
int vmx_caps_start(void)
{
	if (!vmx_caps_report(NULL))
		return -ENODEV;
	/* Like all of debugfs this is silent where that is off. */
	directory = debugfs_create_dir("vmx_caps", NULL);
	debugfs_create_file("report", 0444, directory, NULL, &report_fops);
	return 0;
}

void vmx_caps_stop(void)
{
	debugfs_remove(directory);
}
