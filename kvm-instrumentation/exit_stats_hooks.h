/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Counts and times of VM exits: the hooks that KVM calls.
 *
 * With CONFIG_KVM_EXIT_STATS off every one of them is empty.  With the option
 * on and the static key off, the exit path has the patched-out jumps.
 */
#ifndef __KVM_X86_EXIT_STATS_HOOKS_H
#define __KVM_X86_EXIT_STATS_HOOKS_H

#include <linux/kvm_host.h>

struct dentry;

#ifdef CONFIG_KVM_EXIT_STATS

#include <linux/jump_label.h>

#include <asm/tsc.h>

/*
 * On while there is a vCPU that counts, and one that measures the time to its
 * entries.  Asked as unlikely although counting is on by default: off is then a
 * no-op and nothing else, where a jump would land on an ENDBR as well.
 */
DECLARE_STATIC_KEY_FALSE(kvm_exit_stats_key);
DECLARE_STATIC_KEY_FALSE(kvm_exit_stats_entry_key);

void __kvm_exit_stats_event(struct kvm_vcpu *vcpu, u32 event);

void kvm_exit_stats_init_vm(struct kvm *kvm);
void kvm_exit_stats_destroy_vm(struct kvm *kvm);
int kvm_exit_stats_create_vcpu(struct kvm_vcpu *vcpu);
void kvm_exit_stats_destroy_vcpu(struct kvm_vcpu *vcpu);
struct exit_stats *kvm_exit_stats_alloc(u32 vendor, bool hist, gfp_t gfp);
void kvm_exit_stats_sum_vm(struct kvm *kvm, struct exit_stats *sum);

bool kvm_exit_stats_cpuid(struct kvm_vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx);
int kvm_exit_stats_capability(struct kvm *kvm);
int kvm_exit_stats_enable_cap(struct kvm *kvm, u64 arg);
void kvm_exit_stats_create_debugfs(struct dentry *dir);
void kvm_exit_stats_create_vm_debugfs(struct kvm *kvm);

#ifdef CONFIG_KVM_EXIT_STATS_COURSE
u32 kvm_exit_stats_layout(void);
#else
static inline u32 kvm_exit_stats_layout(void)
{
	return 0;
}
#endif

/*
 * Read the clock at a VM exit.  Safe in noinstr code, so that it can come before
 * anything else is done for the exit, an NMI's handler included.
 */
static __always_inline void kvm_exit_stats_stamp(struct kvm_vcpu *vcpu)
{
	if (static_branch_unlikely(&kvm_exit_stats_key) && vcpu->exit_stats)
		vcpu->exit_stats->start = rdtsc();
}

/*
 * Latch the number of a hardware exit, flags included, and whether a nested
 * guest ran: the handler may change both.  kvm_exit_stats_handled() counts.
 */
static __always_inline void kvm_exit_stats_exit(struct kvm_vcpu *vcpu, u32 reason, bool l2)
{
	if (static_branch_unlikely(&kvm_exit_stats_key) && vcpu->exit_stats)
		exit_stats_exit(vcpu->exit_stats, reason, l2);
}

static __always_inline u32 kvm_exit_stats_svm_number(u64 exit_code)
{
	return exit_stats_svm_number(exit_code);
}

/*
 * The latest exit has been handled: when the exit handler has returned, and
 * before a fastpath's re-entry.  If both happen to an exit, which is so when a
 * request is pending at re-entry, the first is its end.
 */
static __always_inline void kvm_exit_stats_handled(struct kvm_vcpu *vcpu)
{
	struct exit_stats *s;

	if (!static_branch_unlikely(&kvm_exit_stats_key))
		return;

	s = vcpu->exit_stats;
	if (!s)
		return;

	preempt_disable();
	exit_stats_handled(s, s->hist, rdtsc());
	preempt_enable();
}

static __always_inline void kvm_exit_stats_event(struct kvm_vcpu *vcpu, u32 event)
{
	if (static_branch_unlikely(&kvm_exit_stats_key))
		__kvm_exit_stats_event(vcpu, event);
}

/* VMLAUNCH or VMRESUME failed, without an exit. */
static __always_inline void kvm_exit_stats_entry_failed(struct kvm_vcpu *vcpu)
{
	kvm_exit_stats_event(vcpu, EXIT_STATS_ENTRY_FAILED);
}

/* KVM emulates instead of entering the guest. */
static __always_inline void kvm_exit_stats_entry_emulated(struct kvm_vcpu *vcpu)
{
	kvm_exit_stats_event(vcpu, EXIT_STATS_ENTRY_EMULATED);
}

static __always_inline void kvm_exit_stats_before_entry(struct kvm_vcpu *vcpu)
{
	if (static_branch_unlikely(&kvm_exit_stats_entry_key) &&
	    vcpu->kvm->arch.exit_stats.config.entry)
		__kvm_exit_stats_event(vcpu, EXIT_STATS_BEFORE_ENTRY);
}

static __always_inline void kvm_exit_stats_block_begin(struct kvm_vcpu *vcpu)
{
	kvm_exit_stats_event(vcpu, EXIT_STATS_BLOCK_BEGIN);
}

static __always_inline void kvm_exit_stats_block_end(struct kvm_vcpu *vcpu)
{
	kvm_exit_stats_event(vcpu, EXIT_STATS_BLOCK_END);
}

/*
 * KVM_RUN returns.  0 means that an exit needs the VMM, and so does a memory
 * fault; a signal's -EINTR is not the guest's doing, and a VM that was stopped
 * for an hour must not look as if its latest exit had taken that long.
 */
static __always_inline void kvm_exit_stats_user_begin(struct kvm_vcpu *vcpu, int ret)
{
	bool exit = !ret || vcpu->run->exit_reason == KVM_EXIT_MEMORY_FAULT;

	kvm_exit_stats_event(vcpu, exit ? EXIT_STATS_USER_BEGIN : EXIT_STATS_STOP_BEGIN);
}

static __always_inline void kvm_exit_stats_user_end(struct kvm_vcpu *vcpu)
{
	kvm_exit_stats_event(vcpu, EXIT_STATS_USER_END);
}

static __always_inline void kvm_exit_stats_sched_out(struct kvm_vcpu *vcpu)
{
	if (vcpu->scheduled_out)
		kvm_exit_stats_event(vcpu, EXIT_STATS_SCHED_OUT);
}

static __always_inline void kvm_exit_stats_sched_in(struct kvm_vcpu *vcpu)
{
	if (vcpu->scheduled_out)
		kvm_exit_stats_event(vcpu, EXIT_STATS_SCHED_IN);
}

/* Whether kvm_exit_stats_cpuid() is to be asked about a CPUID leaf. */
static __always_inline bool kvm_exit_stats_is_leaf(u32 leaf)
{
	return static_branch_unlikely(&kvm_exit_stats_key) &&
	       unlikely(leaf - EXIT_STATS_FIRST_LEAF <=
			EXIT_STATS_LAST_LEAF - EXIT_STATS_FIRST_LEAF);
}

#else /* !CONFIG_KVM_EXIT_STATS */

static inline void kvm_exit_stats_init_vm(struct kvm *kvm) {}
static inline void kvm_exit_stats_destroy_vm(struct kvm *kvm) {}
static inline int kvm_exit_stats_create_vcpu(struct kvm_vcpu *vcpu) { return 0; }
static inline void kvm_exit_stats_destroy_vcpu(struct kvm_vcpu *vcpu) {}
static inline int kvm_exit_stats_capability(struct kvm *kvm) { return 0; }
static inline int kvm_exit_stats_enable_cap(struct kvm *kvm, u64 arg) { return -EINVAL; }
static inline void kvm_exit_stats_create_debugfs(struct dentry *dir) {}
static inline void kvm_exit_stats_create_vm_debugfs(struct kvm *kvm) {}

static __always_inline void kvm_exit_stats_stamp(struct kvm_vcpu *vcpu) {}
static __always_inline void kvm_exit_stats_exit(struct kvm_vcpu *vcpu, u32 reason, bool l2) {}
static __always_inline u32 kvm_exit_stats_svm_number(u64 exit_code) { return exit_code; }
static __always_inline void kvm_exit_stats_handled(struct kvm_vcpu *vcpu) {}
static __always_inline void kvm_exit_stats_entry_failed(struct kvm_vcpu *vcpu) {}
static __always_inline void kvm_exit_stats_entry_emulated(struct kvm_vcpu *vcpu) {}
static __always_inline void kvm_exit_stats_before_entry(struct kvm_vcpu *vcpu) {}
static __always_inline void kvm_exit_stats_block_begin(struct kvm_vcpu *vcpu) {}
static __always_inline void kvm_exit_stats_block_end(struct kvm_vcpu *vcpu) {}
static __always_inline void kvm_exit_stats_user_begin(struct kvm_vcpu *vcpu, int ret) {}
static __always_inline void kvm_exit_stats_user_end(struct kvm_vcpu *vcpu) {}
static __always_inline void kvm_exit_stats_sched_out(struct kvm_vcpu *vcpu) {}
static __always_inline void kvm_exit_stats_sched_in(struct kvm_vcpu *vcpu) {}

static __always_inline bool kvm_exit_stats_is_leaf(u32 leaf)
{
	return false;
}

static inline bool kvm_exit_stats_cpuid(struct kvm_vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx,
					u32 *edx)
{
	return false;
}

#endif /* CONFIG_KVM_EXIT_STATS */

#endif /* __KVM_X86_EXIT_STATS_HOOKS_H */
