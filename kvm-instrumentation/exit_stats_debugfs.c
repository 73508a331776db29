// SPDX-License-Identifier: GPL-2.0
/*
 * Counts and times of VM exits: the host's tables in debugfs.
 *
 * kvm/exit_stats_raw is of all VMs that there are, kvm/<pid>-<fd>/exit_stats_raw
 * of one, and exit_stats_vcpus beside the latter says what each vCPU does.
 * Writing 0 to a table resets it: what was counted so far is taken off from then
 * on.  The counters themselves are never written, so neither a guest nor KVM's
 * binary statistics see a reset.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>
#include <linux/cleanup.h>
#include <linux/debugfs.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "exit_stats_hooks.h"

static const struct {
	u32 field;
	const char *name;
} exit_stats_fields[] = {
	{ EXIT_STATS_EXITS, "exits" },
	{ EXIT_STATS_CYCLES, "cycles" },
	{ EXIT_STATS_MIN, "min" },
	{ EXIT_STATS_MAX, "max" },
	{ EXIT_STATS_BLOCKED, "blocked" },
	{ EXIT_STATS_USER, "user" },
	{ EXIT_STATS_L2, "l2" },
	{ EXIT_STATS_DROPPED, "dropped" },
	{ EXIT_STATS_AWAY, "away" },
	{ EXIT_STATS_ENTRY, "entry" },
	{ EXIT_STATS_GUEST, "guest" },
};

/* A VM's counters since its last reset; @all is for the sum, @vm for scratch. */
static void exit_stats_add_vm(struct kvm *kvm, struct exit_stats *all, struct exit_stats *vm)
{
	exit_stats_clear(vm);
	if (!kvm->arch.exit_stats.on)
		return;

	guard(mutex)(&kvm->arch.exit_stats.lock);
	kvm_exit_stats_sum_vm(kvm, vm);
	if (kvm->arch.exit_stats.base)
		exit_stats_subtract(vm, kvm->arch.exit_stats.base);
	exit_stats_add(all, vm);
}

static struct exit_stats *exit_stats_new(void)
{
	return kvm_exit_stats_alloc(kvm_x86_ops.exit_stats_vendor, true, GFP_KERNEL_ACCOUNT);
}

static void exit_stats_show_row(struct seq_file *m, const struct exit_stats *set, u32 reason)
{
	const char *sep = "\t";
	u64 value;
	int i;

	seq_printf(m, "%u\t%s", reason, exit_stats_reason_symbol(set->vendor, reason));
	for (i = 0; i < ARRAY_SIZE(exit_stats_fields); i++)
		seq_printf(m, "\t%llu", exit_stats_value(set, reason, exit_stats_fields[i].field));

	for (i = 0; i < EXIT_STATS_BUCKETS; i++) {
		value = exit_stats_value(set, reason, EXIT_STATS_BUCKET + i);
		if (value) {
			seq_printf(m, "%s%d:%llu", sep, i, value);
			sep = ",";
		}
	}
	seq_puts(m, sep[0] == '\t' ? "\t-\n" : "\n");
}

static int exit_stats_show(struct seq_file *m, void *unused)
{
	struct exit_stats *all __free(kfree) = exit_stats_new();
	struct exit_stats *vm __free(kfree) = exit_stats_new();
	struct kvm *kvm = m->private;
	u32 reason;
	int i;

	if (!all || !vm)
		return -ENOMEM;

	if (kvm) {
		exit_stats_add_vm(kvm, all, vm);
	} else {
		guard(mutex)(&kvm_lock);
		list_for_each_entry(kvm, &vm_list, vm_list)
			exit_stats_add_vm(kvm, all, vm);
	}

	seq_puts(m, "reason\tsymbol");
	for (i = 0; i < ARRAY_SIZE(exit_stats_fields); i++)
		seq_printf(m, "\t%s", exit_stats_fields[i].name);
	seq_puts(m, "\tbuckets\n");
	/* With these a reader has times and rates, by the clocks of this host. */
	seq_printf(m, "tsc_khz\t%u\nmonotonic_ns\t%llu\n", tsc_khz, ktime_get_ns());

	for (i = 0; (reason = exit_stats_reason(all->vendor, i)) != EXIT_STATS_TOTAL; i++)
		exit_stats_show_row(m, all, reason);
	for (reason = EXIT_STATS_BEYOND; reason <= EXIT_STATS_TOTAL; reason++)
		exit_stats_show_row(m, all, reason);
	return 0;
}

/*
 * What each vCPU does and since when, and its totals since it was made: one that
 * is stuck shows the exit it is stuck in.
 */
static int exit_stats_show_vcpus(struct seq_file *m, void *unused)
{
	static const char *const phases[] = { "new", "guest", "handling", "blocked", "userspace" };
	struct kvm *kvm = m->private;
	const struct exit_stats *s;
	struct kvm_vcpu *vcpu;
	unsigned long i;
	u64 since;
	u16 phase;
	int j;

	seq_puts(m, "vcpu\tphase\treason\tfrom_l2\tsince\tfirst\tmark\tnow");
	for (j = 0; j < ARRAY_SIZE(exit_stats_fields); j++)
		seq_printf(m, "\t%s", exit_stats_fields[j].name);
	seq_putc(m, '\n');

	kvm_for_each_vcpu(i, vcpu, kvm) {
		s = vcpu->exit_stats;
		phase = READ_ONCE(s->phase);
		since = READ_ONCE(s->since);
		if (!since)
			since = (u8)phase == EXIT_STATS_HANDLING ? READ_ONCE(s->start) :
								   READ_ONCE(s->mark);
		seq_printf(m, "%d\t%s\t%u\t%d\t%llu\t%llu\t%llu\t%llu", vcpu->vcpu_id,
			   phases[(u8)phase % ARRAY_SIZE(phases)], READ_ONCE(s->reason),
			   !!(phase & EXIT_STATS_FROM_L2), since, READ_ONCE(s->first),
			   READ_ONCE(s->mark), rdtsc());
		for (j = 0; j < ARRAY_SIZE(exit_stats_fields); j++)
			seq_printf(m, "\t%llu", exit_stats_value(s, EXIT_STATS_TOTAL,
								 exit_stats_fields[j].field));
		seq_putc(m, '\n');
	}
	return 0;
}

static int exit_stats_reset_vm(struct kvm *kvm)
{
	struct exit_stats *now = exit_stats_new();

	if (!now)
		return -ENOMEM;

	scoped_guard(mutex, &kvm->arch.exit_stats.lock) {
		if (kvm->arch.exit_stats.on)
			kvm_exit_stats_sum_vm(kvm, now);
		swap(kvm->arch.exit_stats.base, now);
	}
	kfree(now);
	return 0;
}

static ssize_t exit_stats_write(struct file *file, const char __user *buf, size_t len,
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

/* The table of all reasons fits, so that a reader gets one consistent view. */
#define EXIT_STATS_TABLE_SIZE (16 * PAGE_SIZE)

static int exit_stats_open_as(struct inode *inode, struct file *file,
			      int (*show)(struct seq_file *m, void *unused))
{
	struct kvm *kvm = inode->i_private;
	int r;

	/* As for KVM's other files of a VM: it may be going away. */
	if (kvm && !kvm_get_kvm_safe(kvm))
		return -ENOENT;

	r = single_open_size(file, show, kvm, EXIT_STATS_TABLE_SIZE);
	if (r && kvm)
		kvm_put_kvm(kvm);
	return r;
}

static int exit_stats_open(struct inode *inode, struct file *file)
{
	return exit_stats_open_as(inode, file, exit_stats_show);
}

static int exit_stats_open_vcpus(struct inode *inode, struct file *file)
{
	return exit_stats_open_as(inode, file, exit_stats_show_vcpus);
}

static int exit_stats_release(struct inode *inode, struct file *file)
{
	struct kvm *kvm = inode->i_private;
	int r = single_release(inode, file);

	if (kvm)
		kvm_put_kvm(kvm);
	return r;
}

static const struct file_operations exit_stats_fops = {
	.owner = THIS_MODULE,
	.open = exit_stats_open,
	.read = seq_read,
	.write = exit_stats_write,
	.llseek = seq_lseek,
	.release = exit_stats_release,
};

static const struct file_operations exit_stats_vcpus_fops = {
	.owner = THIS_MODULE,
	.open = exit_stats_open_vcpus,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = exit_stats_release,
};

void kvm_exit_stats_create_debugfs(struct dentry *dir)
{
	if (kvm_x86_ops.exit_reasons_enabled)
		debugfs_create_file("exit_stats_raw", 0644, dir, NULL, &exit_stats_fops);
}

void kvm_exit_stats_create_vm_debugfs(struct kvm *kvm)
{
	if (!kvm->arch.exit_stats.on)
		return;

	debugfs_create_file("exit_stats_raw", 0644, kvm->debugfs_dentry, kvm, &exit_stats_fops);
	debugfs_create_file("exit_stats_vcpus", 0444, kvm->debugfs_dentry, kvm,
			    &exit_stats_vcpus_fops);
}
