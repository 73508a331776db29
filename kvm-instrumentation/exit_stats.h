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

/* Whose numbers the exit reasons are. */
#define EXIT_STATS_VMX 0
#define EXIT_STATS_SVM 1

/* SVM's negative exit codes. */
#define EXIT_STATS_SVM_BUSY 0xfff0
#define EXIT_STATS_SVM_IDLE 0xfff1
#define EXIT_STATS_SVM_INVALID 0xfff2

/*
 * Pseudo reasons.  BEYOND takes in what the hardware reported by numbers that
 * the manual does not define, so that the defined reasons and BEYOND add up to
 * TOTAL.
 */
#define EXIT_STATS_BEYOND 0xfffc
#define EXIT_STATS_EMULATED 0xfffd
#define EXIT_STATS_FAILED 0xfffe
#define EXIT_STATS_TOTAL 0xffff

/* Fields, in selectors and for exit_stats_value(). */
#define EXIT_STATS_EXITS 0
#define EXIT_STATS_CYCLES 1
#define EXIT_STATS_MIN 2
#define EXIT_STATS_MAX 3
#define EXIT_STATS_BLOCKED 4
#define EXIT_STATS_USER 5
#define EXIT_STATS_STATE 6
#define EXIT_STATS_L2 7
#define EXIT_STATS_DROPPED 8
#define EXIT_STATS_AWAY 9
#define EXIT_STATS_ENTRY 10
#define EXIT_STATS_GUEST 11
#define EXIT_STATS_BUCKET 0x40
#define EXIT_STATS_SNAPSHOT 0x7fff

/* Bucket k holds exits whose handling took [2^k, 2^(k+1)) cycles, the last longer ones too. */
#define EXIT_STATS_BUCKETS 24

/* Events for exit_stats_event(). */
#define EXIT_STATS_BLOCK_BEGIN 0
#define EXIT_STATS_BLOCK_END 1
#define EXIT_STATS_USER_BEGIN 2
#define EXIT_STATS_STOP_BEGIN 3
#define EXIT_STATS_USER_END 4
#define EXIT_STATS_SCHED_OUT 5
#define EXIT_STATS_SCHED_IN 6
#define EXIT_STATS_BEFORE_ENTRY 7
#define EXIT_STATS_ENTRY_FAILED 8
#define EXIT_STATS_ENTRY_EMULATED 9

/* What a vCPU does. */
#define EXIT_STATS_NEW 0
#define EXIT_STATS_RUNNING 1	/* in the guest, or an exit is being handled */
#define EXIT_STATS_BLOCKED_NOW 2
#define EXIT_STATS_IN_USER 3

/* Flags of a vCPU's latest exit. */
#define EXIT_STATS_FROM_L2 0x100000000	/* it was taken from a nested guest */
#define EXIT_STATS_CAUSED 0x4000000000000000	/* @cause has what made it */
#define EXIT_STATS_OVER 0x8000000000000000	/* it has been handled, or there was none */

/* Words of an entry of the causes. */
#define EXIT_STATS_CAUSE_ID 0	/* the reason in 31:0, and flags */
#define EXIT_STATS_CAUSE_KEY 1
#define EXIT_STATS_CAUSE_RIP 2
#define EXIT_STATS_CAUSE_EXITS 3
#define EXIT_STATS_CAUSE_CYCLES 4
#define EXIT_STATS_CAUSE_ERROR 5

/* The entry of what no entry holds. */
#define EXIT_STATS_CAUSE_REST 0xffff

/* Flags of a cause. */
#define EXIT_STATS_CAUSE_HAS_KEY 0x100000000
#define EXIT_STATS_CAUSE_HAS_RIP 0x200000000	/* the guest's instruction made it */
#define EXIT_STATS_CAUSE_CPL3 0x400000000
#define EXIT_STATS_CAUSE_L2 0x800000000

/* Leaves of the guest interface, and the bit of a selector that asks the snapshot. */
#define EXIT_STATS_FIRST_LEAF 0x4ffffff9
#define EXIT_STATS_CAUSES 0x4ffffff9
#define EXIT_STATS_EXTENSION 0x4ffffffa
#define EXIT_STATS_LAST_LEAF 0x4fffffff
#define EXIT_STATS_OF_SNAPSHOT 0x80000000

#ifndef __ASSEMBLER__

#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/compiler_attributes.h>
#include <linux/stddef.h>
#include <linux/types.h>

#define EXIT_STATS_ROWS 50
#define EXIT_STATS_SLOTS 184
#define EXIT_STATS_NO_ROW 0xff
#define EXIT_STATS_CAUSE_ENTRIES 123

/*
 * The histograms of a set, a row each as in the set: the buckets, the complement
 * of the smallest handling time, the largest, the time from handling to entry,
 * and what tells that a time is a usual one.
 */
struct exit_stats_hist {
	u64 row[EXIT_STATS_ROWS][8 + EXIT_STATS_BUCKETS];
} __aligned(64);

/*
 * The causes of the exits: for each the reason, a key (which MSR, port or page) and
 * the guest's instruction.  What there is no room for takes over the entry with the
 * fewest exits.  A new one is zeroed but for @seeds and @capacity.
 */
struct exit_stats_causes {
	u64 seeds[2];		/* random and odd numbers, which the guest does not know */
	u64 used;
	u64 missed;
	u64 fewest;
	u64 candidates[2];
	u32 capacity;		/* of @entry: of a vCPU EXIT_STATS_CAUSE_ENTRIES, of a sum twice */
	u32 reserved;
	u8 first[256];
	u64 entry[][8];
} __aligned(64);

/*
 * A set of counters: a vCPU's, or a sum of several.  A new one is zeroed, @hist,
 * @causes and @vendor are set, and @map is filled with EXIT_STATS_NO_ROW.
 * Read figures by exit_stats_value(), which knows the rows.
 */
struct exit_stats {
	struct exit_stats_hist *hist;	/* or NULL */
	u64 failed;
	u64 emulated;
	u64 generation;		/* of a snapshot: how many times it was taken */
	struct exit_stats_causes *causes;	/* or NULL */
	u8 vendor;		/* EXIT_STATS_VMX or EXIT_STATS_SVM */
	u8 used;
	u8 reserved[30];
	u8 map[EXIT_STATS_SLOTS];
	u64 row[EXIT_STATS_ROWS][8];
} __aligned(64);

/*
 * What a vCPU does.  A member of KVM's own structure, so that the exit path needs
 * no pointer to it.  Valid when zeroed.
 */
struct exit_stats_vcpu {
	u64 start;		/* TSC at the latest exit */
	u64 mark;		/* until when all time is accounted for */
	u64 since;		/* when what interrupts the phase began, or 0 */
	u64 first;		/* when the guest was first entered */
	u64 latest;		/* number of the latest exit in 15:0, and flags */
	struct exit_stats *set;	/* NULL if nothing is counted */
	u32 phase;		/* EXIT_STATS_NEW and so on */
	u32 reserved;
	struct {
		u64 flags;	/* EXIT_STATS_CAUSE_HAS_KEY and so on */
		u64 key;
		u64 rip;
	} cause;		/* of the latest exit, with EXIT_STATS_CAUSED */
};

/* What the answers depend on besides the counters. */
struct exit_stats_config {
	u64 enabled[3];		/* the bit of a reason's slot: it can occur */
	u64 instance;		/* a number that no other set of counters has */
	u32 layout;		/* 0 spring22, 1 fall22, 2 combined */
	u32 vendor;
	u32 tsc_khz;
	bool hist;
	bool entry;
	bool beside;		/* beside KVM, which keeps some of it to itself */
	bool causes;
};

struct exit_stats_regs {
	u32 eax;
	u32 ebx;
	u32 ecx;
	u32 edx;
};

/* SVM's negative codes are below the pseudo reasons; whatever else is large is no code. */
static __always_inline u32 exit_stats_svm_number(u64 exit_code)
{
	switch ((s32)exit_code) {
	case -1:
		return EXIT_STATS_SVM_INVALID;
	case -2:
		return EXIT_STATS_SVM_BUSY;
	case -3:
		return EXIT_STATS_SVM_IDLE;
	default:
		return exit_code < EXIT_STATS_SVM_BUSY ? exit_code : EXIT_STATS_BEYOND;
	}
}

/*
 * Recording.  By the thread that holds the vCPU (vcpu->mutex) and by nobody
 * else, and with preemption off, so that the preemption notifier's events do not
 * come in between.  Each costs a few plain adds to lines that only this thread
 * writes.  Nothing happens to a vCPU without a set.
 */

/*
 * A hardware VM exit happened.  Latches what the handler may change: call it
 * once an exit, before anything that may change the reason or switch between L1
 * and L2.  Bits 31:16 of @reason do not count: VMX has flags there.  Bit 0 of
 * @flags tells that it is from L2; 29:1 do not count.
 */
static __always_inline void exit_stats_exit(struct exit_stats_vcpu *v, u32 reason, u32 flags,
					    u64 tsc)
{
	WRITE_ONCE(v->latest, reason | (u64)flags << 32);
	WRITE_ONCE(v->start, tsc);
}

/*
 * What made the exit just latched, if the set keeps that.  The registers of the
 * guest must still be those of the exit.
 */
static __always_inline void exit_stats_caused(struct exit_stats_vcpu *v, u64 flags, u64 key,
					      u64 rip)
{
	v->cause.flags = flags;
	v->cause.key = key;
	v->cause.rip = rip;
	WRITE_ONCE(v->latest, v->latest | EXIT_STATS_CAUSED);
}

/*
 * The latest exit has been handled: counts it and adds its time.  Call it once
 * for each exit; if there was none, after a failed or an emulated entry, it does
 * nothing.
 */
void exit_stats_handled(struct exit_stats_vcpu *v);

/*
 * Anything rarer happened.  BLOCK_* go round vcpu_block().  USER_BEGIN is where
 * KVM_RUN returns because of the latest exit and STOP_BEGIN where it returns for
 * another reason; USER_END is where it is called again and what the VMM had to
 * complete is completed.  SCHED_* come from the preemption notifier.
 * BEFORE_ENTRY comes right before each entry, if that is to be measured.  An end
 * without its beginning does nothing.
 */
void exit_stats_event(struct exit_stats_vcpu *v, u32 event);

/*
 * Adds to @regs, which are zero at first, what a set says to a CPUID leaf.  Call
 * it for each vCPU of the VM, or for the snapshot if the selector asks that;
 * @set is NULL if there is none.  Returns whether the leaf is one of these.
 */
bool exit_stats_answer(const struct exit_stats_config *config, u32 leaf, u32 subleaf,
		       const struct exit_stats *set, struct exit_stats_regs *regs);

/* Empties a set and raises its generation. */
void exit_stats_clear(struct exit_stats *dst);

/* Adds a set, which may be written meanwhile, to another. */
void exit_stats_add(struct exit_stats *dst, const struct exit_stats *src);

/* Returns one figure, or 0 if there is no such. */
u64 exit_stats_value(const struct exit_stats *set, u32 reason, u32 field);

/* Returns a word of an entry of the causes, or of EXIT_STATS_CAUSE_REST; 0 if there is no such. */
u64 exit_stats_cause(const struct exit_stats *set, u32 entry, u32 word);

/* Returns the number of the vendor's n-th reason, or EXIT_STATS_TOTAL after the last. */
u32 exit_stats_reason(u32 vendor, u32 n);

/* Returns the slot of a number, its bit of @enabled; EXIT_STATS_SLOTS is none. */
u32 exit_stats_slot(u32 reason);

static_assert(sizeof(struct exit_stats_vcpu) == 80);
static_assert(sizeof(struct exit_stats) == 3456);
static_assert(offsetof(struct exit_stats, row) == 256);
static_assert(sizeof(struct exit_stats_hist) == 12800);
static_assert(sizeof(struct exit_stats_causes) == 320);
static_assert(sizeof(struct exit_stats_config) == 48);
static_assert(sizeof(struct exit_stats_regs) == 16);
/* 4 KiB a vCPU without histograms, 16 KiB with, and 8 KiB for the causes. */
static_assert(sizeof(struct exit_stats) <= 4096);
static_assert(sizeof(struct exit_stats) + sizeof(struct exit_stats_hist) <= 16384);
static_assert(sizeof(struct exit_stats_causes) + EXIT_STATS_CAUSE_ENTRIES * 64 == 8192);

#endif /* !__ASSEMBLER__ */

#endif /* __KVM_X86_EXIT_STATS_H */
