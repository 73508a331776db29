// SPDX-License-Identifier: GPL-2.0
/*
 * Counts and times of VM exits: the host's tables in debugfs.
 *
 * kvm/exit_stats_raw is of all VMs that there are, kvm/<pid>-<fd>/exit_stats_raw
 * of one, and exit_stats_vcpus beside the latter says what each vCPU does.
 * Writing 0 to a table resets it: what was counted so far is taken off from then
 * on.  The counters themselves are never written, so neither a guest nor KVM's
 * binary statistics see a reset.  exit_stats_causes, where causes are kept, has
 * what made the exits since the VM was made.
 *
 * A VM's files are removed before anything of it is, which waits for those that
 * read them.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>
#include <linux/cleanup.h>
#include <linux/debugfs.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "exit_stats_alloc.h"
#include "exit_stats_hooks.h"
#include "exit_stats_show.h"

/* Add what a VM counts to @all, and what it had counted at its latest reset to @base. */
static void exit_stats_add_vm(struct kvm *kvm, struct exit_stats *all, struct exit_stats *base)
{
	guard(mutex)(&kvm->arch.exit_stats.lock);
	kvm_exit_stats_sum_vm(kvm, all);
	if (kvm->arch.exit_stats.base)
		exit_stats_add(base, kvm->arch.exit_stats.base);
}

static struct exit_stats *exit_stats_new(void)
{
	const struct exit_stats_config config = {
		.vendor = kvm_x86_ops.exit_stats_vendor,
		.hist = true,
	};

	return exit_stats_alloc(&config, 0, GFP_KERNEL_ACCOUNT);
}

static int exit_stats_raw_show(struct seq_file *m, void *unused)
{
	struct exit_stats *all __free(kfree) = exit_stats_new();
	struct exit_stats *base __free(kfree) = exit_stats_new();
	struct kvm *kvm = m->private;

	if (!all || !base)
		return -ENOMEM;

	if (kvm) {
		exit_stats_add_vm(kvm, all, base);
	} else {
		guard(mutex)(&kvm_lock);
		list_for_each_entry(kvm, &vm_list, vm_list)
			exit_stats_add_vm(kvm, all, base);
	}

	exit_stats_show_table(m, all, base);
	return 0;
}

static int exit_stats_reset_vm(struct kvm *kvm)
{
	struct exit_stats *now = exit_stats_new();

	if (!now)
		return -ENOMEM;

	scoped_guard(mutex, &kvm->arch.exit_stats.lock) {
		kvm_exit_stats_sum_vm(kvm, now);
		swap(kvm->arch.exit_stats.base, now);
	}
	kfree(now);
	return 0;
}

static ssize_t exit_stats_raw_write(struct file *file, const char __user *buf, size_t len,
				    loff_t *pos)
{
	struct kvm *kvm = file_inode(file)->i_private;
	u64 value;
	int r;

	r = kstrtou64_from_user(buf, len, 0, &value);
	if (r)
		return r;
	if (value)
		return -EINVAL;

	if (kvm)
		return exit_stats_reset_vm(kvm) ?: len;

	guard(mutex)(&kvm_lock);
	list_for_each_entry(kvm, &vm_list, vm_list) {
		r = exit_stats_reset_vm(kvm);
		if (r)
			return r;
	}
	return len;
}
DEFINE_SHOW_STORE_ATTRIBUTE(exit_stats_raw);

static int exit_stats_vcpus_show(struct seq_file *m, void *unused)
{
	struct kvm *kvm = m->private;
	struct kvm_vcpu *vcpu;
	unsigned long i;

	exit_stats_show_vcpu_header(m);
	kvm_for_each_vcpu(i, vcpu, kvm)
		exit_stats_show_vcpu(m, vcpu->vcpu_id, &vcpu->exit_stats);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(exit_stats_vcpus);

static int exit_stats_causes_show(struct seq_file *m, void *unused)
{
	struct kvm *kvm = m->private;
	struct exit_stats *sum = exit_stats_alloc(&kvm->arch.exit_stats.config,
						  2 * EXIT_STATS_CAUSE_ENTRIES,
						  GFP_KERNEL_ACCOUNT);

	if (!sum)
		return -ENOMEM;

	kvm_exit_stats_sum_vm(kvm, sum);
	/* The VMM may have turned them on since the file was made. */
	if (sum->causes)
		exit_stats_show_causes(m, sum);
	exit_stats_free(sum);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(exit_stats_causes);

void kvm_exit_stats_create_debugfs(struct dentry *dir)
{
	if (kvm_x86_ops.exit_reasons_enabled)
		debugfs_create_file("exit_stats_raw", 0644, dir, NULL, &exit_stats_raw_fops);
}

void kvm_exit_stats_create_vm_debugfs(struct kvm *kvm)
{
	if (!kvm->arch.exit_stats.on)
		return;

	debugfs_create_file("exit_stats_raw", 0644, kvm->debugfs_dentry, kvm,
			    &exit_stats_raw_fops);
	debugfs_create_file("exit_stats_causes", 0444, kvm->debugfs_dentry, kvm,
			    &exit_stats_causes_fops);
	debugfs_create_file("exit_stats_vcpus", 0444, kvm->debugfs_dentry, kvm,
			    &exit_stats_vcpus_fops);
}
