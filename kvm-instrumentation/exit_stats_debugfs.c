// SPDX-License-Identifier: GPL-2.0
/*
 * Counts and times of VM exits: the host's tables in debugfs.
 *
 * kvm/exit_stats is of the whole host, kvm/<pid>-<fd>/exit_stats of one VM, for
 * people; exit_stats_raw beside each is the same for programs.  Writing to
 * exit_stats resets that view: what was counted so far is taken off from then
 * on.  The counters themselves are never written, so neither a guest nor KVM's
 * binary statistics see a reset.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>
#include <linux/cleanup.h>
#include <linux/debugfs.h>
#include <linux/math64.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>

#include "exit_stats_hooks.h"

/* What the view of the host is reset to, and its lock. */
static DEFINE_MUTEX(exit_stats_host_lock);
static struct kvm_exit_stats_set exit_stats_host_base;

/* The fields of a row, in the order in which exit_stats_raw prints them. */
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
};

static const u32 exit_stats_pseudo_reasons[] = {
	EXIT_STATS_BEYOND,
	EXIT_STATS_EMULATED,
	EXIT_STATS_FAILED,
	EXIT_STATS_TOTAL,
};

static void exit_stats_host_reset(void *data)
{
	struct kvm_exit_stats_set *set = data;

	memset(set->counters, 0, sizeof(*set->counters));
	memset(set->hist, 0, sizeof(*set->hist));
}

static void exit_stats_host_add(void *data, const struct exit_stats_counters *counters,
				const struct exit_stats_hist *hist)
{
	struct kvm_exit_stats_set *set = data;

	exit_stats_merge(set->counters, set->hist, counters, hist);
}

/* Where a view's counters come from; @kvm is NULL for the host's. */
static void exit_stats_sum(struct kvm *kvm, struct kvm_exit_stats_set *sum)
{
	if (kvm)
		kvm_exit_stats_sum_vm(kvm, sum);
	else
		kvm_exit_stats_walk_host(exit_stats_host_reset, exit_stats_host_add, sum);
}

static struct kvm_exit_stats_set *exit_stats_base(struct kvm *kvm, struct mutex **lock)
{
	if (!kvm) {
		*lock = &exit_stats_host_lock;
		return &exit_stats_host_base;
	}

	*lock = &kvm->arch.exit_stats.lock;
	return &kvm->arch.exit_stats.base;
}

static int exit_stats_view(struct kvm *kvm, struct kvm_exit_stats_set *view)
{
	struct kvm_exit_stats_set *base;
	struct mutex *lock; /* of the view's base */

	if (kvm_exit_stats_alloc(view, !kvm || kvm_exit_stats_has_hist(kvm), GFP_KERNEL))
		return -ENOMEM;

	base = exit_stats_base(kvm, &lock);
	guard(mutex)(lock);
	exit_stats_sum(kvm, view);
	if (base->counters)
		exit_stats_subtract(view->counters, view->hist, base->counters, base->hist);
	return 0;
}

static u64 exit_stats_figure(const struct kvm_exit_stats_set *view, u32 reason, u32 field)
{
	u64 value = 0;

	exit_stats_value(view->counters, view->hist, reason, field, &value);
	return value;
}

static void exit_stats_show_row(struct seq_file *m, const struct kvm_exit_stats_set *view,
				const char *number, const char *name, u32 reason)
{
	u64 exits = exit_stats_figure(view, reason, EXIT_STATS_EXITS);
	u64 dropped = exit_stats_figure(view, reason, EXIT_STATS_DROPPED);
	u64 cycles = exit_stats_figure(view, reason, EXIT_STATS_CYCLES);
	u64 timed = exits > dropped ? exits - dropped : 0;

	seq_printf(m, "%6s  %-40s %12llu %16llu %10llu %10llu %12llu %16llu %16llu %12llu %8llu\n",
		   number, name, exits, cycles, timed ? div64_u64(cycles, timed) : 0,
		   exit_stats_figure(view, reason, EXIT_STATS_MIN),
		   exit_stats_figure(view, reason, EXIT_STATS_MAX),
		   exit_stats_figure(view, reason, EXIT_STATS_BLOCKED),
		   exit_stats_figure(view, reason, EXIT_STATS_USER),
		   exit_stats_figure(view, reason, EXIT_STATS_L2), dropped);
}

static int exit_stats_show(struct seq_file *m, void *unused)
{
	struct kvm_exit_stats_set view;
	char number[8];
	const char *name;
	u32 reason;
	int r;

	r = exit_stats_view(m->private, &view);
	if (r)
		return r;

	seq_printf(m, "%6s  %-40s %12s %16s %10s %10s %12s %16s %16s %12s %8s\n",
		   "reason", "name", "exits", "cycles", "average", "min", "max",
		   "blocked", "userspace", "nested", "dropped");

	for (reason = 0; reason < EXIT_STATS_REASONS; reason++) {
		name = exit_stats_reason_name(reason);
		if (!exit_stats_figure(&view, reason, EXIT_STATS_EXITS))
			continue;
		snprintf(number, sizeof(number), "%u", reason);
		exit_stats_show_row(m, &view, number, name ?: "(undefined)", reason);
	}
	if (exit_stats_figure(&view, EXIT_STATS_BEYOND, EXIT_STATS_EXITS))
		exit_stats_show_row(m, &view, ">", "(higher reasons)", EXIT_STATS_BEYOND);
	exit_stats_show_row(m, &view, "", "Total", EXIT_STATS_TOTAL);

	seq_printf(m, "%6s  %-40s %12llu\n", "", "Entries that failed",
		   exit_stats_figure(&view, EXIT_STATS_FAILED, EXIT_STATS_EXITS));
	seq_printf(m, "%6s  %-40s %12llu\n", "", "Entries that were emulated",
		   exit_stats_figure(&view, EXIT_STATS_EMULATED, EXIT_STATS_EXITS));

	kvm_exit_stats_free(&view);
	return 0;
}

static void exit_stats_show_raw_row(struct seq_file *m, const struct kvm_exit_stats_set *view,
				    u32 reason, const char *symbol)
{
	const char *sep = "\t";
	u64 value;
	int i;

	seq_printf(m, "%u\t%s", reason, symbol ?: "-");
	for (i = 0; i < ARRAY_SIZE(exit_stats_fields); i++)
		seq_printf(m, "\t%llu", exit_stats_figure(view, reason,
							  exit_stats_fields[i].field));

	for (i = 0; i < EXIT_STATS_BUCKETS; i++) {
		value = exit_stats_figure(view, reason, EXIT_STATS_BUCKET + i);
		if (value) {
			seq_printf(m, "%s%d:%llu", sep, i, value);
			sep = ",";
		}
	}
	if (sep[0] == '\t')
		seq_puts(m, "\t-");
	seq_putc(m, '\n');
}

static int exit_stats_show_raw(struct seq_file *m, void *unused)
{
	struct kvm_exit_stats_set view;
	const char *symbol;
	u32 reason;
	int i, r;

	r = exit_stats_view(m->private, &view);
	if (r)
		return r;

	seq_puts(m, "reason\tsymbol");
	for (i = 0; i < ARRAY_SIZE(exit_stats_fields); i++)
		seq_printf(m, "\t%s", exit_stats_fields[i].name);
	seq_puts(m, "\tbuckets\n");

	for (reason = 0; reason < EXIT_STATS_REASONS; reason++) {
		symbol = exit_stats_reason_symbol(reason);
		if (symbol || exit_stats_figure(&view, reason, EXIT_STATS_EXITS))
			exit_stats_show_raw_row(m, &view, reason, symbol);
	}
	for (i = 0; i < ARRAY_SIZE(exit_stats_pseudo_reasons); i++) {
		reason = exit_stats_pseudo_reasons[i];
		exit_stats_show_raw_row(m, &view, reason, exit_stats_reason_symbol(reason));
	}

	kvm_exit_stats_free(&view);
	return 0;
}

static ssize_t exit_stats_write(struct file *file, const char __user *buf, size_t len,
				loff_t *pos)
{
	struct kvm *kvm = file_inode(file)->i_private;
	struct kvm_exit_stats_set now, *base;
	struct mutex *lock; /* of the view's base */

	if (kvm_exit_stats_alloc(&now, !kvm || kvm_exit_stats_has_hist(kvm), GFP_KERNEL_ACCOUNT))
		return -ENOMEM;

	base = exit_stats_base(kvm, &lock);
	scoped_guard(mutex, lock) {
		exit_stats_sum(kvm, &now);
		swap(*base, now);
	}

	kvm_exit_stats_free(&now);
	return len;
}

/* Both tables of all reasons fit, so that a reader gets one consistent view. */
#define EXIT_STATS_TABLE_SIZE (8 * PAGE_SIZE)

static int exit_stats_open_view(struct inode *inode, struct file *file,
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
	return exit_stats_open_view(inode, file, exit_stats_show);
}

static int exit_stats_open_raw(struct inode *inode, struct file *file)
{
	return exit_stats_open_view(inode, file, exit_stats_show_raw);
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

static const struct file_operations exit_stats_raw_fops = {
	.owner = THIS_MODULE,
	.open = exit_stats_open_raw,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = exit_stats_release,
};

static void exit_stats_create_files(struct dentry *dir, struct kvm *kvm)
{
	if (!kvm_exit_stats_supported())
		return;

	debugfs_create_file("exit_stats", 0644, dir, kvm, &exit_stats_fops);
	debugfs_create_file("exit_stats_raw", 0444, dir, kvm, &exit_stats_raw_fops);
}

/**
 * kvm_exit_stats_create_debugfs() - make the host's files
 * @dir:	KVM's folder, made anew whenever a vendor module is loaded
 */
void kvm_exit_stats_create_debugfs(struct dentry *dir)
{
	/* The totals have been set to zero, and so must be what is taken off. */
	scoped_guard(mutex, &exit_stats_host_lock)
		kvm_exit_stats_free(&exit_stats_host_base);

	exit_stats_create_files(dir, NULL);
}

void kvm_exit_stats_create_vm_debugfs(struct kvm *kvm)
{
	exit_stats_create_files(kvm->debugfs_dentry, kvm);
}
