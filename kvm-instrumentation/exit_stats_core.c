// SPDX-License-Identifier: GPL-2.0
/*
 * Counts and times of VM exits: parameters and lifecycle.
 *
 * A vCPU's counters are written by its own thread only and live as long as the
 * vCPU.  Whether a VM has any, and who may read them, is fixed when it is made.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>
#include <linux/log2.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include <asm/tsc.h>

#include "exit_stats_hooks.h"

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

DEFINE_STATIC_KEY_FALSE(kvm_exit_stats_causes_key);

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
		.causes = READ_ONCE(exit_stats_causes),
	};
}

void kvm_exit_stats_destroy_vm(struct kvm *kvm)
{
	kfree(kvm->arch.exit_stats.base);
}

/* A set and its histograms are one allocation, of a power of two: that is aligned. */
struct exit_stats *kvm_exit_stats_alloc(u32 vendor, bool hist, gfp_t gfp)
{
	size_t size = sizeof(struct exit_stats) + (hist ? sizeof(struct exit_stats_hist) : 0);
	struct exit_stats *s = kzalloc(roundup_pow_of_two(size), gfp);

	if (!s)
		return NULL;

	s->vendor = vendor;
	s->hist = hist ? (void *)(s + 1) : NULL;
	memset(s->map, EXIT_STATS_NO_ROW, sizeof(s->map));
	return s;
}

/* The same as a VM's vCPUs have, with room for as many causes if the VM keeps any. */
struct exit_stats *kvm_exit_stats_alloc_vm(struct kvm *kvm, u32 entries, gfp_t gfp)
{
	const struct exit_stats_config *config = &kvm->arch.exit_stats.config;
	struct exit_stats *s = kvm_exit_stats_alloc(config->vendor, config->hist, gfp);

	if (!s || !config->causes)
		return s;

	s->causes = kzalloc(struct_size(s->causes, entry, entries), gfp);
	if (!s->causes) {
		kfree(s);
		return NULL;
	}

	s->causes->seeds[0] = get_random_u64() | 1;
	s->causes->seeds[1] = get_random_u64() | 1;
	s->causes->capacity = entries;
	return s;
}

void kvm_exit_stats_free(struct exit_stats *s)
{
	if (s)
		kfree(s->causes);
	kfree(s);
}

int kvm_exit_stats_create_vcpu(struct kvm_vcpu *vcpu)
{
	const struct kvm_exit_stats_vm *vm = &vcpu->kvm->arch.exit_stats;

	if (!vm->on)
		return 0;

	vcpu->exit_stats.set = kvm_exit_stats_alloc_vm(vcpu->kvm, EXIT_STATS_CAUSE_ENTRIES,
						       GFP_KERNEL_ACCOUNT);
	if (!vcpu->exit_stats.set)
		return -ENOMEM;

	static_branch_inc(&kvm_exit_stats_key);
	if (vm->config.entry)
		static_branch_inc(&kvm_exit_stats_entry_key);
	if (vm->config.causes)
		static_branch_inc(&kvm_exit_stats_causes_key);
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
		static_branch_dec(&kvm_exit_stats_causes_key);
	kvm_exit_stats_free(vcpu->exit_stats_snapshot);
	kvm_exit_stats_free(vcpu->exit_stats.set);
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
