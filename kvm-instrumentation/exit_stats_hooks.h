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

/* The leaves of the guest interface. */
#define EXIT_STATS_FIRST_LEAF 0x4ffffffa
#define EXIT_STATS_LAST_LEAF 0x4fffffff

/*
 * On when the vendor module counts and kvm.exit_stats says so.  Asked as
 * unlikely although it is on by default: off is then a no-op and nothing else,
 * where a jump would land on an ENDBR as well.
 */
DECLARE_STATIC_KEY_FALSE(kvm_exit_stats_key);

/* What is rarer than an exit; for the vendor module as well. */
void __kvm_exit_stats_event(struct kvm_vcpu *vcpu, u32 event);

/* Lifecycle. */
void kvm_exit_stats_vendor_init(void);
bool kvm_exit_stats_supported(void);
void kvm_exit_stats_init_vm(struct kvm *kvm);
void kvm_exit_stats_end_vm(struct kvm *kvm);
void kvm_exit_stats_create_vcpu(struct kvm_vcpu *vcpu);
void kvm_exit_stats_enlist(struct kvm_vcpu *vcpu);
void kvm_exit_stats_destroy_vcpu(struct kvm_vcpu *vcpu);

/* Sums, for the readers. */
int kvm_exit_stats_alloc(struct kvm_exit_stats_set *set, bool hist, gfp_t gfp);
void kvm_exit_stats_free(struct kvm_exit_stats_set *set);
bool kvm_exit_stats_has_hist(struct kvm *kvm);
void kvm_exit_stats_sum_vm(struct kvm *kvm, const struct kvm_exit_stats_set *sum);
void kvm_exit_stats_walk_host(void (*reset)(void *data),
			      void (*add)(void *data, const struct exit_stats_counters *counters,
					  const struct exit_stats_hist *hist),
			      void *data);

/* Readers. */
bool kvm_exit_stats_cpuid(struct kvm_vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx);
void kvm_exit_stats_create_debugfs(struct dentry *dir);
void kvm_exit_stats_create_vm_debugfs(struct kvm *kvm);

/**
 * kvm_exit_stats_stamp() - read the clock at a VM exit
 * @vcpu:	the vCPU that has just exited
 *
 * Safe in noinstr code, so that it can come before anything else is done for
 * the exit, an NMI's handler included.
 */
static __always_inline void kvm_exit_stats_stamp(struct kvm_vcpu *vcpu)
{
	if (static_branch_unlikely(&kvm_exit_stats_key))
		vcpu->exit_stats.live.clock.start = rdtsc();
}

/**
 * kvm_exit_stats_exit() - record a hardware VM exit
 * @vcpu:	the vCPU
 * @reason:	the exit reason as the hardware gave it, flags included
 * @l2:		the vCPU was running a nested guest
 *
 * Latches both, for the handler may change them; kvm_exit_stats_handled()
 * counts.  A macro with barriers, so that neither is read while the key is
 * off: the compiler would merge it with a later reading and do it always.
 */
#define kvm_exit_stats_exit(vcpu, reason, l2)					\
do {										\
	if (static_branch_unlikely(&kvm_exit_stats_key)) {			\
		barrier();							\
		exit_stats_exit(&(vcpu)->exit_stats.live, reason, l2);	\
		barrier();							\
	}									\
} while (0)

/**
 * kvm_exit_stats_handled() - the latest exit has been handled
 * @vcpu:	the vCPU
 *
 * When the exit handler has returned, and before a fastpath's re-entry.  If
 * both happen to an exit, which is so when a request is pending at re-entry,
 * the first is its end.
 */
static __always_inline void kvm_exit_stats_handled(struct kvm_vcpu *vcpu)
{
	struct exit_stats_vcpu *live = &vcpu->exit_stats.live;

	if (static_branch_unlikely(&kvm_exit_stats_key))
		exit_stats_handled(live, live->clock.hist, rdtsc());
}

static __always_inline void kvm_exit_stats_event(struct kvm_vcpu *vcpu, u32 event)
{
	if (static_branch_unlikely(&kvm_exit_stats_key))
		__kvm_exit_stats_event(vcpu, event);
}

/**
 * kvm_exit_stats_entry_failed() - VMLAUNCH or VMRESUME failed, without an exit
 * @vcpu:	the vCPU
 */
static __always_inline void kvm_exit_stats_entry_failed(struct kvm_vcpu *vcpu)
{
	kvm_exit_stats_event(vcpu, EXIT_STATS_ENTRY_FAILED);
}

/**
 * kvm_exit_stats_entry_emulated() - KVM emulates instead of entering the guest
 * @vcpu:	the vCPU
 */
static __always_inline void kvm_exit_stats_entry_emulated(struct kvm_vcpu *vcpu)
{
	kvm_exit_stats_event(vcpu, EXIT_STATS_ENTRY_EMULATED);
}

static __always_inline void kvm_exit_stats_block_begin(struct kvm_vcpu *vcpu)
{
	kvm_exit_stats_event(vcpu, EXIT_STATS_BLOCK_BEGIN);
}

static __always_inline void kvm_exit_stats_block_end(struct kvm_vcpu *vcpu)
{
	kvm_exit_stats_event(vcpu, EXIT_STATS_BLOCK_END);
}

/**
 * kvm_exit_stats_user_begin() - KVM_RUN returns
 * @vcpu:	the vCPU
 * @ret:	what it returns
 *
 * Only 0 means that an exit needs the VMM; a signal's -EINTR is not the
 * guest's doing, and a VM that was stopped for an hour must not look as if
 * its latest exit had taken that long.
 */
static __always_inline void kvm_exit_stats_user_begin(struct kvm_vcpu *vcpu, int ret)
{
	if (!ret)
		kvm_exit_stats_event(vcpu, EXIT_STATS_USER_BEGIN);
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

/**
 * kvm_exit_stats_is_leaf() - may a CPUID leaf be one of the exit statistics'?
 * @leaf:	EAX
 *
 * Return: true if kvm_exit_stats_cpuid() is to be asked.
 */
static __always_inline bool kvm_exit_stats_is_leaf(u32 leaf)
{
	return static_branch_unlikely(&kvm_exit_stats_key) &&
	       unlikely(leaf - EXIT_STATS_FIRST_LEAF <=
			EXIT_STATS_LAST_LEAF - EXIT_STATS_FIRST_LEAF);
}

#else /* !CONFIG_KVM_EXIT_STATS */

static inline void kvm_exit_stats_vendor_init(void) {}
static inline void kvm_exit_stats_init_vm(struct kvm *kvm) {}
static inline void kvm_exit_stats_end_vm(struct kvm *kvm) {}
static inline void kvm_exit_stats_create_vcpu(struct kvm_vcpu *vcpu) {}
static inline void kvm_exit_stats_enlist(struct kvm_vcpu *vcpu) {}
static inline void kvm_exit_stats_destroy_vcpu(struct kvm_vcpu *vcpu) {}
static inline void kvm_exit_stats_create_debugfs(struct dentry *dir) {}
static inline void kvm_exit_stats_create_vm_debugfs(struct kvm *kvm) {}

static __always_inline void kvm_exit_stats_stamp(struct kvm_vcpu *vcpu) {}
static __always_inline void kvm_exit_stats_exit(struct kvm_vcpu *vcpu, u32 reason, bool l2) {}
static __always_inline void kvm_exit_stats_handled(struct kvm_vcpu *vcpu) {}
static __always_inline void kvm_exit_stats_entry_failed(struct kvm_vcpu *vcpu) {}
static __always_inline void kvm_exit_stats_entry_emulated(struct kvm_vcpu *vcpu) {}
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
