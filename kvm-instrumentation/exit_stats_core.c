// SPDX-License-Identifier: GPL-2.0
/*
 * Counts and times of VM exits: parameters and lifecycle.
 *
 * A vCPU's counters are written by its own thread only and live as long as the
 * vCPU.  Whether a VM has any, and who may read them, is fixed when it is made.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>
#include <linux/cleanup.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/random.h>
#include <linux/sysfs.h>
#include <linux/tracepoint.h>

#include <asm/tsc.h>

#include "exit_stats_alloc.h"
#include "exit_stats_hooks.h"
#include "trace.h"

DEFINE_FREE(exit_stats_free, struct exit_stats *, exit_stats_free(_T))

static bool exit_stats = true;
module_param(exit_stats, bool, 0644);
MODULE_PARM_DESC(exit_stats, "Count and time VM exits, of VMs made from now on");

static bool exit_stats_hist = true;
module_param(exit_stats_hist, bool, 0644);
MODULE_PARM_DESC(exit_stats_hist, "Histograms of exit handling times, of VMs made from now on");

static bool exit_stats_entry;
module_param(exit_stats_entry, bool, 0644);
MODULE_PARM_DESC(exit_stats_entry, "Read the clock before each entry too, in VMs made from now on");

static bool exit_stats_causes;
module_param(exit_stats_causes, bool, 0644);
MODULE_PARM_DESC(exit_stats_causes, "Keep the causes of exits too, in VMs made from now on");

enum {
	EXIT_STATS_GUEST_OFF,
	EXIT_STATS_GUEST_VMM,
	EXIT_STATS_GUEST_VM,
};

static int exit_stats_set_word(const char *val, const struct kernel_param *kp)
{
	const struct kvm_exit_stats_words *words = kp->arg;
	int word = __sysfs_match_string(words->words, words->n, val);

	if (word < 0)
		return word;

	WRITE_ONCE(*words->value, word);
	return 0;
}

static int exit_stats_get_word(char *buffer, const struct kernel_param *kp)
{
	const struct kvm_exit_stats_words *words = kp->arg;

	return sysfs_emit(buffer, "%s\n", words->words[READ_ONCE(*words->value)]);
}

const struct kernel_param_ops kvm_exit_stats_word_ops = {
	.set = exit_stats_set_word,
	.get = exit_stats_get_word,
};

static const char *const exit_stats_guest_words[] = { "off", "vmm", "vm" };
static unsigned int exit_stats_guest = EXIT_STATS_GUEST_VM;
static struct kvm_exit_stats_words exit_stats_guest_arg = {
	exit_stats_guest_words, ARRAY_SIZE(exit_stats_guest_words), &exit_stats_guest
};

module_param_cb(exit_stats_guest, &kvm_exit_stats_word_ops, &exit_stats_guest_arg, 0644);
__MODULE_PARM_TYPE(exit_stats_guest, "charp");
MODULE_PARM_DESC(exit_stats_guest,
		 "Guests may read their exit statistics: off, vmm (it decides), vm (unless it objects)");

void kvm_exit_stats_init_vm(struct kvm *kvm)
{
	struct kvm_exit_stats_vm *vm = &kvm->arch.exit_stats;
	unsigned int guest = READ_ONCE(exit_stats_guest);

	mutex_init(&vm->lock);

	vm->on = READ_ONCE(exit_stats) && kvm_x86_ops.exit_reasons_enabled;
#ifdef KVM_X86_TDX_VM
	/* The TDX module handles some of a TD's exits, and KVM others elsewhere. */
	vm->on &= kvm->arch.vm_type != KVM_X86_TDX_VM;
#endif
	vm->vmm_decides = guest != EXIT_STATS_GUEST_OFF;
	vm->guest = guest == EXIT_STATS_GUEST_VM;
	vm->config = (struct exit_stats_config) {
		.instance = get_random_u64(),
		.layout = kvm_exit_stats_layout(),
		.vendor = kvm_x86_ops.exit_stats_vendor,
		.tsc_khz = tsc_khz,
		.hist = READ_ONCE(exit_stats_hist),
		.entry = READ_ONCE(exit_stats_entry),
		.causes = READ_ONCE(exit_stats_causes) && EXIT_STATS_CAN_KEEP_CAUSES,
	};
}

void kvm_exit_stats_destroy_vm(struct kvm *kvm)
{
	kfree(kvm->arch.exit_stats.base);
}

/*
 * What made an exit has to be latched while the guest's registers are still those
 * of the exit.  A probe of the trace event that comes there does it, so that as
 * long as no VM keeps causes, nothing of this is on the way of an exit.
 */
static DEFINE_MUTEX(exit_stats_causes_lock);
static unsigned int exit_stats_causes_vcpus;

static void exit_stats_on_exit(void *data, struct kvm_vcpu *vcpu, u32 isa)
{
	const struct exit_stats *set = vcpu->exit_stats.set;

	if (set && set->causes)
		kvm_x86_call(exit_stats_caused)(vcpu);
}

static int exit_stats_begin_causes(void)
{
	int r = 0;

	guard(mutex)(&exit_stats_causes_lock);
	if (!exit_stats_causes_vcpus)
		r = register_trace_kvm_exit(exit_stats_on_exit, NULL);
	if (!r)
		exit_stats_causes_vcpus++;
	return r;
}

static void exit_stats_end_causes(void)
{
	guard(mutex)(&exit_stats_causes_lock);
	if (--exit_stats_causes_vcpus)
		return;

	unregister_trace_kvm_exit(exit_stats_on_exit, NULL);
	/* This module may be unloaded next. */
	tracepoint_synchronize_unregister();
}

int kvm_exit_stats_create_vcpu(struct kvm_vcpu *vcpu)
{
	const struct kvm_exit_stats_vm *vm = &vcpu->kvm->arch.exit_stats;
	struct exit_stats *set __free(exit_stats_free) = NULL;
	int r;

	if (!vm->on)
		return 0;

	set = exit_stats_alloc(&vm->config, EXIT_STATS_CAUSE_ENTRIES, GFP_KERNEL_ACCOUNT);
	if (!set)
		return -ENOMEM;

	if (vm->config.causes) {
		r = exit_stats_begin_causes();
		if (r)
			return r;
	}
	static_branch_inc(&kvm_exit_stats_key);
	if (vm->config.entry)
		static_branch_inc(&kvm_exit_stats_entry_key);
	vcpu->exit_stats.set = no_free_ptr(set);
	return 0;
}

void kvm_exit_stats_destroy_vcpu(struct kvm_vcpu *vcpu)
{
	if (!vcpu->exit_stats.set)
		return;

	static_branch_dec(&kvm_exit_stats_key);
	if (vcpu->kvm->arch.exit_stats.config.entry)
		static_branch_dec(&kvm_exit_stats_entry_key);
	if (vcpu->kvm->arch.exit_stats.config.causes)
		exit_stats_end_causes();
	exit_stats_free(vcpu->exit_stats_snapshot);
	exit_stats_free(vcpu->exit_stats.set);
}

/* Add a VM's vCPUs, which may be running, to @sum. */
void kvm_exit_stats_sum_vm(struct kvm *kvm, struct exit_stats *sum)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	if (!kvm->arch.exit_stats.on)
		return;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		exit_stats_add(sum, vcpu->exit_stats.set);
		cond_resched();
	}
}
