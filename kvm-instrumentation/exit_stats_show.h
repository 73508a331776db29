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

/* The columns of all fields up to EXIT_STATS_GUEST but for EXIT_STATS_STATE. */
#define EXIT_STATS_COLUMNS \
	"exits\tcycles\tmin\tmax\tblocked\tuser\tl2\tdropped\taway\tentry\tguest"

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

/* A figure since the latest reset, at which it was @base's, if there is one. */
static inline u64 exit_stats_since(const struct exit_stats *set, const struct exit_stats *base,
				   u32 reason, u32 field)
{
	u64 value = exit_stats_value(set, reason, field);

	if (!base || field == EXIT_STATS_MIN || field == EXIT_STATS_MAX)
		return value;
	return value - min(value, exit_stats_value(base, reason, field));
}

static inline void exit_stats_show_fields(struct seq_file *m, const struct exit_stats *set,
					  const struct exit_stats *base, u32 reason)
{
	u32 field;

	for (field = 0; field <= EXIT_STATS_GUEST; field++)
		if (field != EXIT_STATS_STATE)
			seq_printf(m, "\t%llu", exit_stats_since(set, base, reason, field));
}

static inline void exit_stats_show_row(struct seq_file *m, const struct exit_stats *set,
				       const struct exit_stats *base, u32 reason)
{
	const char *sep = "\t";
	u64 value;
	int i;

	seq_printf(m, "%u\t%s", reason, exit_stats_symbol(set->vendor, reason));
	exit_stats_show_fields(m, set, base, reason);
	for (i = 0; i < EXIT_STATS_BUCKETS; i++) {
		value = exit_stats_since(set, base, reason, EXIT_STATS_BUCKET + i);
		if (value) {
			seq_printf(m, "%s%d:%llu", sep, i, value);
			sep = ",";
		}
	}
	seq_puts(m, sep[0] == '\t' ? "\t-\n" : "\n");
}

/* A table of all reasons, with the times of each, since what @base counted. */
static inline void exit_stats_show_table(struct seq_file *m, const struct exit_stats *set,
					 const struct exit_stats *base)
{
	u32 reason;
	int i;

	seq_puts(m, "reason\tsymbol\t" EXIT_STATS_COLUMNS "\tbuckets\n");
	/* With these a reader has times and rates, by the clocks of this host. */
	seq_printf(m, "tsc_khz\t%u\nmonotonic_ns\t%llu\n", tsc_khz, ktime_get_ns());

	for (i = 0; (reason = exit_stats_reason(set->vendor, i)) != EXIT_STATS_TOTAL; i++)
		exit_stats_show_row(m, set, base, reason);
	for (reason = EXIT_STATS_BEYOND; reason <= EXIT_STATS_TOTAL; reason++)
		exit_stats_show_row(m, set, base, reason);
}

/* What made the exits, an entry a line, and the rest of them. */
static inline void exit_stats_show_causes(struct seq_file *m, const struct exit_stats *set)
{
	u64 id, exits, cycles;
	u32 i;

	seq_puts(m, "reason\tsymbol\tkey\trip\tcpl3\tl2\texits\tcycles\terror\n");
	for (i = 0; i < set->causes->used; i++) {
		id = exit_stats_cause(set, i, EXIT_STATS_CAUSE_ID);
		seq_printf(m, "%u\t%s", (u32)id, exit_stats_symbol(set->vendor, (u32)id));
		if (id & EXIT_STATS_CAUSE_HAS_KEY)
			seq_printf(m, "\t%#llx", exit_stats_cause(set, i, EXIT_STATS_CAUSE_KEY));
		else
			seq_puts(m, "\t-");
		if (id & EXIT_STATS_CAUSE_HAS_RIP)
			seq_printf(m, "\t%#llx", exit_stats_cause(set, i, EXIT_STATS_CAUSE_RIP));
		else
			seq_puts(m, "\t-");
		exits = exit_stats_cause(set, i, EXIT_STATS_CAUSE_EXITS);
		cycles = exit_stats_cause(set, i, EXIT_STATS_CAUSE_CYCLES);
		seq_printf(m, "\t%d\t%d\t%llu\t%llu\t%llu\n", !!(id & EXIT_STATS_CAUSE_CPL3),
			   !!(id & EXIT_STATS_CAUSE_L2), exits, cycles,
			   exit_stats_cause(set, i, EXIT_STATS_CAUSE_ERROR));
	}
	exits = exit_stats_cause(set, EXIT_STATS_CAUSE_REST, EXIT_STATS_CAUSE_EXITS);
	cycles = exit_stats_cause(set, EXIT_STATS_CAUSE_REST, EXIT_STATS_CAUSE_CYCLES);
	seq_printf(m, "rest\t-\t-\t-\t-\t-\t%llu\t%llu\t-\n", exits, cycles);
}

static inline void exit_stats_show_vcpu_header(struct seq_file *m)
{
	seq_puts(m, "vcpu\tphase\treason\tfrom_l2\tsince\tfirst\tmark\tnow\t"
		    EXIT_STATS_COLUMNS "\n");
}

/*
 * What a vCPU does and since when, and its totals since it was made: one that is
 * stuck shows the exit it is stuck in.
 */
static inline void exit_stats_show_vcpu(struct seq_file *m, int id,
					const struct exit_stats_vcpu *v)
{
	static const char *const phases[] = { "new", "guest", "blocked", "userspace", "handling" };
	u64 start = READ_ONCE(v->start), mark = READ_ONCE(v->mark), since = READ_ONCE(v->since);
	u64 latest = READ_ONCE(v->latest);
	u32 phase = READ_ONCE(v->phase);

	/* An exit that has been handled is before the mark. */
	if (phase == EXIT_STATS_RUNNING && (s64)(start - mark) > 0)
		phase = ARRAY_SIZE(phases) - 1;
	else
		start = mark;
	seq_printf(m, "%d\t%s\t%u\t%d\t%llu\t%llu\t%llu\t%llu", id,
		   phases[phase % ARRAY_SIZE(phases)], (u16)latest,
		   !!(latest & EXIT_STATS_FROM_L2), since ?: start, READ_ONCE(v->first), mark,
		   rdtsc());
	exit_stats_show_fields(m, v->set, NULL, EXIT_STATS_TOTAL);
	seq_putc(m, '\n');
}

#endif /* __KVM_X86_EXIT_STATS_SHOW_H */
