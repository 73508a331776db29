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

#include <asm/exit_stats.h>

#ifdef CONFIG_KVM_EXIT_STATS

#include <linux/jump_label.h>

#include <asm/tsc.h>

/* What made an exit is latched by a probe of a trace event. */
#define EXIT_STATS_CAN_KEEP_CAUSES IS_ENABLED(CONFIG_TRACEPOINTS)

/* On while there is a vCPU that counts, and one that measures the time to its entries. */
DECLARE_STATIC_KEY_FALSE(kvm_exit_stats_key);
DECLARE_STATIC_KEY_FALSE(kvm_exit_stats_entry_key);

void __kvm_exit_stats_event(struct kvm_vcpu *vcpu, u32 event);

void kvm_exit_stats_init_vm(struct kvm *kvm);
void kvm_exit_stats_destroy_vm(struct kvm *kvm);
int kvm_exit_stats_create_vcpu(struct kvm_vcpu *vcpu);
void kvm_exit_stats_destroy_vcpu(struct kvm_vcpu *vcpu);
void kvm_exit_stats_sum_vm(struct kvm *kvm, struct exit_stats *sum);

bool kvm_exit_stats_cpuid(struct kvm_vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx);
int kvm_exit_stats_capability(struct kvm *kvm);
int kvm_exit_stats_enable_cap(struct kvm *kvm, u64 arg);
void kvm_exit_stats_create_debugfs(struct dentry *dir);
void kvm_exit_stats_create_vm_debugfs(struct kvm *kvm);

/* The argument of a module parameter that is one of some words. */
struct kvm_exit_stats_words {
	const char *const *words;
	size_t n;
	unsigned int *value;	/* the number of the word */
};

extern const struct kernel_param_ops kvm_exit_stats_word_ops;

#ifdef CONFIG_KVM_EXIT_STATS_COURSE
u32 kvm_exit_stats_layout(void);
#else
static inline u32 kvm_exit_stats_layout(void)
{
	return 0;
}
#endif

static __always_inline void __kvm_exit_stats_exit(struct kvm_vcpu *vcpu, u32 reason)
{
	BUILD_BUG_ON((u64)HF_GUEST_MASK << 32 != EXIT_STATS_FROM_L2);

	exit_stats_exit(&vcpu->exit_stats, reason, vcpu->arch.hflags, rdtsc());
}

/*
 * A hardware exit: read the clock, and latch the number, flags included, and
 * whether a nested guest ran, which the handler may change.  Safe in noinstr
 * code, so that it can come before anything else is done for the exit, an NMI's
 * handler included.  kvm_exit_stats_handled() counts.
 *
 * A macro, so that @reason is read with the key on only; READ_ONCE() it, or the
 * compiler reads it for all uses.
 */
#define kvm_exit_stats_exit(vcpu, reason)				\
do {									\
	if (static_branch_likely(&kvm_exit_stats_key))			\
		__kvm_exit_stats_exit(vcpu, reason);			\
} while (0)

/*
 * The latest exit has been handled: when the exit handler has returned, and
 * where a fastpath re-enters instead.
 */
static __always_inline void kvm_exit_stats_handled(struct kvm_vcpu *vcpu)
{
	if (!static_branch_likely(&kvm_exit_stats_key))
		return;

	preempt_disable();
	exit_stats_handled(&vcpu->exit_stats);
	preempt_enable();
}

static __always_inline void kvm_exit_stats_event(struct kvm_vcpu *vcpu, u32 event)
{
	if (static_branch_unlikely(&kvm_exit_stats_key))
		__kvm_exit_stats_event(vcpu, event);
}

static __always_inline void kvm_exit_stats_before_entry(struct kvm_vcpu *vcpu)
{
	if (static_branch_unlikely(&kvm_exit_stats_entry_key) &&
	    vcpu->kvm->arch.exit_stats.config.entry)
		__kvm_exit_stats_event(vcpu, EXIT_STATS_BEFORE_ENTRY);
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

#else /* !CONFIG_KVM_EXIT_STATS */

static inline void kvm_exit_stats_init_vm(struct kvm *kvm) {}
static inline void kvm_exit_stats_destroy_vm(struct kvm *kvm) {}
static inline int kvm_exit_stats_create_vcpu(struct kvm_vcpu *vcpu) { return 0; }
static inline void kvm_exit_stats_destroy_vcpu(struct kvm_vcpu *vcpu) {}
static inline int kvm_exit_stats_capability(struct kvm *kvm) { return 0; }
static inline int kvm_exit_stats_enable_cap(struct kvm *kvm, u64 arg) { return -EINVAL; }
static inline void kvm_exit_stats_create_debugfs(struct dentry *dir) {}
static inline void kvm_exit_stats_create_vm_debugfs(struct kvm *kvm) {}

#define kvm_exit_stats_exit(vcpu, reason) do { (void)(vcpu); (void)sizeof(reason); } while (0)
static __always_inline void kvm_exit_stats_handled(struct kvm_vcpu *vcpu) {}
static __always_inline void kvm_exit_stats_event(struct kvm_vcpu *vcpu, u32 event) {}
static __always_inline void kvm_exit_stats_before_entry(struct kvm_vcpu *vcpu) {}
static __always_inline void kvm_exit_stats_user_begin(struct kvm_vcpu *vcpu, int ret) {}

static inline bool kvm_exit_stats_cpuid(struct kvm_vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx,
					u32 *edx)
{
	return false;
}

#endif /* CONFIG_KVM_EXIT_STATS */

#endif /* __KVM_X86_EXIT_STATS_HOOKS_H */
