/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Counts and times of VM exits: the host's tables, as text.
 *
 * KVM's debugfs files are of these, and so are those of a module that counts
 * beside an unmodified KVM.
 */
#ifndef __KVM_X86_EXIT_STATS_SHOW_H
#define __KVM_X86_EXIT_STATS_SHOW_H

#include <linux/compiler.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/seq_file.h>
#include <linux/tracepoint-defs.h>

#include <asm/svm.h>
#include <asm/tsc.h>
#include <asm/vmx.h>

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

/* The names that the kvm_exit trace event has, and those of the pseudo reasons. */
static const struct trace_print_flags exit_stats_symbols[][128] = {
	[EXIT_STATS_VMX] = { VMX_EXIT_REASONS },
	[EXIT_STATS_SVM] = { SVM_EXIT_REASONS },
	{
		{ EXIT_STATS_BEYOND, "BEYOND" },
		{ EXIT_STATS_EMULATED, "ENTRY_EMULATED" },
		{ EXIT_STATS_FAILED, "ENTRY_FAILED" },
		{ EXIT_STATS_TOTAL, "TOTAL" },
	},
};

static inline const char *exit_stats_symbol(u32 vendor, u32 reason)
{
	const struct trace_print_flags *symbol;

	for (symbol = exit_stats_symbols[reason < EXIT_STATS_BEYOND ? vendor : 2]; symbol->name;
	     symbol++) {
		if (symbol->mask == reason)
			return symbol->name;
	}
	return "-";
}

static inline void exit_stats_show_names(struct seq_file *m)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(exit_stats_fields); i++)
		seq_printf(m, "\t%s", exit_stats_fields[i].name);
}

static inline void exit_stats_show_fields(struct seq_file *m, const struct exit_stats *set,
					  u32 reason)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(exit_stats_fields); i++)
		seq_printf(m, "\t%llu", exit_stats_value(set, reason, exit_stats_fields[i].field));
}

static inline void exit_stats_show_row(struct seq_file *m, const struct exit_stats *set, u32 reason)
{
	const char *sep = "\t";
	u64 value;
	int i;

	seq_printf(m, "%u\t%s", reason, exit_stats_symbol(set->vendor, reason));
	exit_stats_show_fields(m, set, reason);
	for (i = 0; i < EXIT_STATS_BUCKETS; i++) {
		value = exit_stats_value(set, reason, EXIT_STATS_BUCKET + i);
		if (value) {
			seq_printf(m, "%s%d:%llu", sep, i, value);
			sep = ",";
		}
	}
	seq_puts(m, sep[0] == '\t' ? "\t-\n" : "\n");
}

/* A table of all reasons, with the times of each. */
static inline void exit_stats_show_table(struct seq_file *m, const struct exit_stats *set)
{
	u32 reason;
	int i;

	seq_puts(m, "reason\tsymbol");
	exit_stats_show_names(m);
	seq_puts(m, "\tbuckets\n");
	/* With these a reader has times and rates, by the clocks of this host. */
	seq_printf(m, "tsc_khz\t%u\nmonotonic_ns\t%llu\n", tsc_khz, ktime_get_ns());

	for (i = 0; (reason = exit_stats_reason(set->vendor, i)) != EXIT_STATS_TOTAL; i++)
		exit_stats_show_row(m, set, reason);
	for (reason = EXIT_STATS_BEYOND; reason <= EXIT_STATS_TOTAL; reason++)
		exit_stats_show_row(m, set, reason);
}

static inline void exit_stats_show_vcpu_header(struct seq_file *m)
{
	seq_puts(m, "vcpu\tphase\treason\tfrom_l2\tsince\tfirst\tmark\tnow");
	exit_stats_show_names(m);
	seq_putc(m, '\n');
}

/*
 * What a vCPU does and since when, and its totals since it was made: one that is
 * stuck shows the exit it is stuck in.
 */
static inline void exit_stats_show_vcpu(struct seq_file *m, int id, const struct exit_stats *s)
{
	static const char *const phases[] = { "new", "guest", "handling", "blocked", "userspace" };
	u64 since = READ_ONCE(s->since);
	u16 phase = READ_ONCE(s->phase);

	if (!since)
		since = (u8)phase == EXIT_STATS_HANDLING ? READ_ONCE(s->start) :
							   READ_ONCE(s->mark);
	seq_printf(m, "%d\t%s\t%u\t%d\t%llu\t%llu\t%llu\t%llu", id,
		   phases[(u8)phase % ARRAY_SIZE(phases)], READ_ONCE(s->reason),
		   !!(phase & EXIT_STATS_FROM_L2), since, READ_ONCE(s->first),
		   READ_ONCE(s->mark), rdtsc());
	exit_stats_show_fields(m, s, EXIT_STATS_TOTAL);
	seq_putc(m, '\n');
}

#endif /* __KVM_X86_EXIT_STATS_SHOW_H */
