/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Counts and times of VM exits: the boundary between KVM's C and exit_stats,
 * the Rust object that is linked into kvm.ko.
 *
 * Both sides assert the layouts.  Nothing behind it allocates, takes a lock,
 * sleeps, logs or can panic.
 */
#ifndef __KVM_X86_EXIT_STATS_H
#define __KVM_X86_EXIT_STATS_H

#include <linux/build_bug.h>
#include <linux/compiler_attributes.h>
#include <linux/stddef.h>
#include <linux/types.h>

/* Basic exit reasons 0 to 85, of the SDM; 7.3's headers know the last two. */
#define EXIT_STATS_REASONS 86
/* One row a reason, and one for hardware reasons past the table's end. */
#define EXIT_STATS_ROWS 87
/* Bucket k holds exits whose handling took [2^k, 2^(k+1)) cycles. */
#define EXIT_STATS_BUCKETS 64

/*
 * Pseudo reasons, in selectors and for exit_stats_value().  BEYOND takes in what
 * the hardware reported by numbers that the SDM leaves undefined, so that the
 * defined reasons and BEYOND add up to TOTAL.
 */
#define EXIT_STATS_BEYOND 0xfffc
#define EXIT_STATS_EMULATED 0xfffd
#define EXIT_STATS_FAILED 0xfffe
#define EXIT_STATS_TOTAL 0xffff

/* Fields, in selectors and for exit_stats_value() and exit_stats_column(). */
#define EXIT_STATS_EXITS 0
#define EXIT_STATS_CYCLES 1
#define EXIT_STATS_MIN 2
#define EXIT_STATS_MAX 3
#define EXIT_STATS_BLOCKED 4
#define EXIT_STATS_USER 5
#define EXIT_STATS_STATE 6
#define EXIT_STATS_L2 7
#define EXIT_STATS_DROPPED 8
#define EXIT_STATS_BUCKET 0x40
#define EXIT_STATS_SNAPSHOT 0x7fff

/* Events for exit_stats_event(). */
#define EXIT_STATS_BLOCK_BEGIN 0
#define EXIT_STATS_BLOCK_END 1
#define EXIT_STATS_USER_BEGIN 2
#define EXIT_STATS_USER_END 3
#define EXIT_STATS_SCHED_OUT 4
#define EXIT_STATS_SCHED_IN 5
#define EXIT_STATS_ENTRY_FAILED 6
#define EXIT_STATS_ENTRY_EMULATED 7

/* Layouts of the four leaves. */
#define EXIT_STATS_SPRING22 0
#define EXIT_STATS_FALL22 1
#define EXIT_STATS_COMBINED 2

/* What to do after exit_stats_query_begin(). */
#define EXIT_STATS_NOT_SERVED 0
#define EXIT_STATS_READY 1
#define EXIT_STATS_ADD_LIVE 2
#define EXIT_STATS_ADD_SNAPSHOT 3
#define EXIT_STATS_TAKE_SNAPSHOT 4

/**
 * struct exit_stats_row - the counters of one exit reason, a cache line
 * @exits:	exits
 * @cycles:	handling cycles, of the exits that were timed
 * @min:	smallest handling cycles of one exit; 0 is none yet
 * @max:	largest handling cycles of one exit
 * @blocked:	cycles for which the vCPU slept or polled after these exits
 * @user:	cycles for which KVM_RUN had returned because of these exits
 * @l2:		those of @exits that were taken from a nested guest
 * @dropped:	timings dropped because the clock stood still or went backwards
 *
 * Read by exit_stats_value() or exit_stats_column(), not directly: they know
 * which rows are folded together.
 */
struct exit_stats_row {
	u64 exits;
	u64 cycles;
	u64 min;
	u64 max;
	u64 blocked;
	u64 user;
	u64 l2;
	u64 dropped;
};

/**
 * struct exit_stats_counters - a set of counters
 * @row:	by basic exit reason; the last is of reasons past the table's end
 * @failed:	entries that failed before the guest ran (VMfail)
 * @emulated:	entries that KVM had to emulate instead
 * @generation:	of a snapshot: how many times it has been taken
 * @reserved:	zero
 *
 * Valid when zeroed.  A vCPU's live set, a snapshot, the totals of the VMs
 * that ended and the baseline of a reset are all of this type.
 */
struct exit_stats_counters {
	struct exit_stats_row row[EXIT_STATS_ROWS];
	u64 failed;
	u64 emulated;
	u64 generation;
	u64 reserved[5];
} __aligned(64);

#define EXIT_STATS_HIST_GROUPS 8
#define EXIT_STATS_HIST_LINES 245

/**
 * struct exit_stats_hist - log2 histograms of handling cycles, one a row
 * @group:	by row and bucket / 8: the line + 1 that holds these eight
 *		buckets; 0 when none of them was ever hit, 255 when they were
 *		and no line was left
 * @used:	lines handed out
 * @line:	eight 64-bit buckets each
 *
 * Valid when zeroed.
 */
struct exit_stats_hist {
	u8 group[EXIT_STATS_ROWS][EXIT_STATS_HIST_GROUPS];
	u64 used;
	u64 line[EXIT_STATS_HIST_LINES][8];
} __aligned(64);

/* Phases of an exit that C sets; the others are private. */
#define EXIT_STATS_HANDLING_L1 1
#define EXIT_STATS_HANDLING_L2 2

/**
 * struct exit_stats_clock - the latest exit, and how far its timing is
 * @start:	TSC at the exit; C writes it, as early as it can
 * @reason:	the basic exit reason
 * @phase:	what is being timed
 * @since:	TSC at which the current stretch began: blocked, in userspace, or
 *		running again after having been scheduled out
 * @spent:	handling cycles before the exit was last scheduled out
 * @hist:	the histograms, or NULL; set it before the vCPU first runs
 * @reserved:	zero
 *
 * Only the vCPU's thread uses it.
 */
struct exit_stats_clock {
	u64 start;
	u32 reason;
	u32 phase;
	u64 since;
	u64 spent;
	struct exit_stats_hist *hist;
	u64 reserved[3];
} __aligned(64);

/**
 * struct exit_stats_vcpu - what a vCPU carries
 * @counters:	written by the vCPU's thread only, read by any
 * @clock:	timing state, private to the vCPU's thread
 *
 * Valid when zeroed; it needs no constructor and no destructor.  It must keep
 * its alignment: embed it, or allocate it from a cache of that alignment.
 */
struct exit_stats_vcpu {
	struct exit_stats_counters counters;
	struct exit_stats_clock clock;
};

/**
 * struct exit_stats_config - what the answers depend on besides the counters
 * @enabled:	bit n of the 128: reason n has a handler and its cause is on in
 *		this VM's VMCS configuration
 * @layout:	EXIT_STATS_SPRING22, EXIT_STATS_FALL22 or EXIT_STATS_COMBINED
 * @tsc_khz:	frequency of the host's TSC
 * @host_scope:	the counters are the whole host's, not one VM's
 * @hist:	there are histograms
 * @reserved:	zero
 */
struct exit_stats_config {
	u64 enabled[2];
	u32 layout;
	u32 tsc_khz;
	bool host_scope;
	bool hist;
	u8 reserved[6];
};

/**
 * struct exit_stats_query - one leaf that is being answered; lives on the stack
 * @value:	the sum, or the first half of an answer that is ready
 * @second:	the second sum, or the other half
 * @reason:	the reason asked for
 * @field:	the field asked for
 * @shape:	how the registers are made from the sums
 * @step:	what exit_stats_query_begin() returned
 * @added:	sets of counters added so far
 * @broken:	set when a needed figure is not there
 */
struct exit_stats_query {
	u64 value;
	u64 second;
	u32 reason;
	u32 field;
	u32 shape;
	u32 step;
	u32 added;
	u32 broken;
};

/**
 * struct exit_stats_regs - the four registers of CPUID
 * @eax:	EAX
 * @ebx:	EBX
 * @ecx:	ECX
 * @edx:	EDX
 */
struct exit_stats_regs {
	u32 eax;
	u32 ebx;
	u32 ecx;
	u32 edx;
};

/*
 * Recording.  By the thread that holds the vCPU (vcpu->mutex) and by nobody
 * else.  Each costs a few plain adds to lines that only this thread writes.
 */

/**
 * exit_stats_exit() - a hardware VM exit happened
 * @s:		the vCPU's, with the clock at the exit in @s->clock.start
 * @reason:	the exit-reason field as read, flags included: of these only bits
 *		15:0 are used
 * @l2:		the vCPU was running a nested guest
 *
 * Latches what the handler may change.  Call it once an exit, with interrupts
 * off, before anything that may change the reason or switch between L1 and L2.
 */
static inline void exit_stats_exit(struct exit_stats_vcpu *s, u32 reason, bool l2)
{
	/* Bits 31:16 are flags: bus lock, enclave mode, failed entry. */
	s->clock.reason = (u16)reason;
	s->clock.phase = EXIT_STATS_HANDLING_L1 + l2;
}

/**
 * exit_stats_handled() - the latest exit has been handled
 * @s:		the vCPU's
 * @hist:	its histograms, @s->clock.hist, or NULL
 * @tsc:	the clock when the handler returned, or before a fastpath's re-entry
 *
 * Counts the exit and adds its time.  Call it after each exit, or the next one
 * takes its place; a second call does nothing.  The thread may be preempted
 * between the reading of @tsc and the call.  @tsc comes third because it is in
 * that argument's register already.
 */
void exit_stats_handled(struct exit_stats_vcpu *s, struct exit_stats_hist *hist,
			u64 tsc);

/**
 * exit_stats_event() - anything rarer happened
 * @s:		the vCPU's
 * @event:	EXIT_STATS_BLOCK_BEGIN and so on; any other value does nothing
 * @tsc:	the clock; ignored for the two ENTRY events
 *
 * BLOCK_BEGIN and BLOCK_END go round vcpu_block(), USER_BEGIN where KVM_RUN
 * returns because of the latest exit (and not of a signal), USER_END where it
 * is called again.  An END without its BEGIN does nothing.  SCHED_OUT and
 * SCHED_IN come from the preemption notifier.  ENTRY_FAILED is a VMfail,
 * ENTRY_EMULATED an entry that KVM emulates instead.
 */
void exit_stats_event(struct exit_stats_vcpu *s, u32 event, u64 tsc);

/**
 * exit_stats_arm() - whether all places that record are live
 * @on:		true after the static key was switched on everywhere, false
 *		before it is switched off
 * @tsc:	the clock
 *
 * A static key is patched one place after the other, so near a switch an exit
 * may be recorded of which some instants are not.  Such an exit is counted but
 * never timed: only one that began while armed, with no call of this function
 * since.  It starts armed, so disarm it before the key is first switched on.
 * Callers serialise it.
 */
void exit_stats_arm(bool on, u64 tsc);

/*
 * Answering CPUID.  Any thread.
 *
 *	switch (exit_stats_query_begin(&q, &config, leaf, subleaf)) {
 *	case EXIT_STATS_NOT_SERVED:
 *		return false;			// as on an unpatched KVM
 *	case EXIT_STATS_READY:
 *		break;
 *	case EXIT_STATS_ADD_LIVE:		// every vCPU in scope
 *		exit_stats_query_add(&q, &s->counters, s->clock.hist);
 *		break;
 *	case EXIT_STATS_TAKE_SNAPSHOT:		// allocated at the first request
 *		exit_stats_snapshot_begin(snap, snap_hist);
 *						// every vCPU in scope
 *		exit_stats_merge(snap, snap_hist, &s->counters, s->clock.hist);
 *		exit_stats_query_add(&q, snap, snap_hist);
 *		break;
 *	case EXIT_STATS_ADD_SNAPSHOT:		// of the vCPU that asks, if any
 *		exit_stats_query_add(&q, snap, snap_hist);
 *		break;
 *	}
 *	exit_stats_query_end(&q, &regs);
 *
 * A query to which nothing was added is answered as an undefined selector.
 */

/**
 * exit_stats_query_begin() - decode a leaf
 * @q:		filled in
 * @config:	what the answer depends on
 * @leaf:	EAX
 * @subleaf:	ECX
 *
 * Return: one of EXIT_STATS_NOT_SERVED, EXIT_STATS_READY, EXIT_STATS_ADD_LIVE,
 * EXIT_STATS_ADD_SNAPSHOT and EXIT_STATS_TAKE_SNAPSHOT.
 */
u32 exit_stats_query_begin(struct exit_stats_query *q,
			   const struct exit_stats_config *config,
			   u32 leaf, u32 subleaf);

/**
 * exit_stats_query_add() - add what one set of counters has to say
 * @q:		the query
 * @counters:	may be written meanwhile
 * @hist:	its histograms, or NULL
 */
void exit_stats_query_add(struct exit_stats_query *q,
			  const struct exit_stats_counters *counters,
			  const struct exit_stats_hist *hist);

/**
 * exit_stats_query_end() - make the registers
 * @q:		the query
 * @regs:	all four are written
 */
void exit_stats_query_end(const struct exit_stats_query *q,
			  struct exit_stats_regs *regs);

/*
 * Sets of counters.  @dst has one writer at a time; @src may be written
 * meanwhile.  Histogram pointers may be NULL.
 */

/**
 * exit_stats_snapshot_begin() - empty a snapshot and raise its generation
 * @snap:	the snapshot
 * @hist:	its histograms, or NULL
 */
void exit_stats_snapshot_begin(struct exit_stats_counters *snap,
			       struct exit_stats_hist *hist);

/**
 * exit_stats_merge() - add one set to another
 * @dst:	added to; its generation stays
 * @dst_hist:	added to, or NULL
 * @src:	what is added
 * @src_hist:	what is added, or NULL
 */
void exit_stats_merge(struct exit_stats_counters *dst,
		      struct exit_stats_hist *dst_hist,
		      const struct exit_stats_counters *src,
		      const struct exit_stats_hist *src_hist);

/**
 * exit_stats_subtract() - take a baseline away, for a view that was reset
 * @dst:	taken from, never below zero
 * @dst_hist:	taken from, or NULL
 * @base:	an earlier state of the same set
 * @base_hist:	its histograms, or NULL
 *
 * Smallest and largest cannot be taken apart: they stay those of all time
 * where an exit has been counted since the baseline, and are 0 elsewhere.
 */
void exit_stats_subtract(struct exit_stats_counters *dst,
			 struct exit_stats_hist *dst_hist,
			 const struct exit_stats_counters *base,
			 const struct exit_stats_hist *base_hist);

/**
 * exit_stats_value() - one figure
 * @counters:	a set of counters
 * @hist:	its histograms, or NULL
 * @reason:	a reason of the table, or a pseudo reason
 * @field:	a field, EXIT_STATS_BUCKET + k among them; not the state
 * @value:	written when there is such a figure
 *
 * Return: whether there is.
 */
bool exit_stats_value(const struct exit_stats_counters *counters,
		      const struct exit_stats_hist *hist,
		      u32 reason, u32 field, u64 *value);

/**
 * exit_stats_column() - one field of every row, as a linear histogram of size 1
 * @counters:	a set of counters
 * @field:	a field from EXIT_STATS_EXITS to EXIT_STATS_DROPPED but the state
 * @out:	written: out[n] is of the number n, defined or not; the last is of
 *		numbers past the table's end
 * @len:	length of @out; EXIT_STATS_ROWS takes them all
 */
void exit_stats_column(const struct exit_stats_counters *counters, u32 field,
		       u64 *out, u32 len);

/**
 * exit_stats_reason_name() - the SDM's name of a reason, for people
 * @reason:	basic exit reason, or a pseudo reason
 *
 * Return: a string that lives forever, or NULL if the SDM defines none.
 */
const char *exit_stats_reason_name(u32 reason);

/**
 * exit_stats_reason_symbol() - a reason's name as an identifier
 * @reason:	basic exit reason, or a pseudo reason
 *
 * The kernel's EXIT_REASON_ name without that prefix, as in trace events; where
 * the kernel has none, one of the same form.
 *
 * Return: a string that lives forever, or NULL if the SDM defines none.
 */
const char *exit_stats_reason_symbol(u32 reason);

static_assert(sizeof(struct exit_stats_row) == 64);
static_assert(sizeof(struct exit_stats_counters) == 5632);
static_assert(offsetof(struct exit_stats_counters, failed) == 5568);
static_assert(offsetof(struct exit_stats_counters, emulated) == 5576);
static_assert(offsetof(struct exit_stats_counters, generation) == 5584);
static_assert(sizeof(struct exit_stats_hist) == 16384);
static_assert(offsetof(struct exit_stats_hist, used) == 696);
static_assert(offsetof(struct exit_stats_hist, line) == 704);
static_assert(sizeof(struct exit_stats_clock) == 64);
static_assert(offsetof(struct exit_stats_clock, phase) == 12);
static_assert(offsetof(struct exit_stats_clock, hist) == 32);
static_assert(sizeof(struct exit_stats_vcpu) == 5696);
static_assert(offsetof(struct exit_stats_vcpu, clock) == 5632);
static_assert(sizeof(struct exit_stats_config) == 32);
static_assert(offsetof(struct exit_stats_config, host_scope) == 24);
static_assert(sizeof(struct exit_stats_query) == 40);
static_assert(sizeof(struct exit_stats_regs) == 16);
/* 8 KiB a vCPU without histograms, 24 KiB with. */
static_assert(sizeof(struct exit_stats_vcpu) <= 8192);
static_assert(sizeof(struct exit_stats_vcpu) + sizeof(struct exit_stats_hist) <= 24576);

#endif /* __KVM_X86_EXIT_STATS_H */
