// SPDX-License-Identifier: GPL-2.0
/*
 * Counts and times of VM exits: the CPUID leaves by which a guest reads them.
 *
 * Leaves and selectors are decoded by the Rust object; what is here brings it
 * the counters.  A guest may call this as often as it likes: it takes no lock,
 * logs nothing, and allocates one snapshot a vCPU, on the VM's own account.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>
#include <linux/cleanup.h>
#include <linux/mutex.h>

#include "exit_stats_alloc.h"
#include "exit_stats_hooks.h"
#include "trace.h"

#define EXIT_STATS_FIELD(selector) (((selector) >> 16) & 0x7fff)

/*
 * Without memory for it there is no snapshot, which the guest is told as of any
 * other selector that is not there.  The VMM must not be killed for it.
 */
static void exit_stats_take_snapshot(struct kvm_vcpu *vcpu)
{
	if (!vcpu->exit_stats_snapshot)
		vcpu->exit_stats_snapshot =
			exit_stats_alloc(&vcpu->kvm->arch.exit_stats.config,
					 2 * EXIT_STATS_CAUSE_ENTRIES,
					 GFP_KERNEL_ACCOUNT | __GFP_NORETRY | __GFP_NOWARN);
	if (!vcpu->exit_stats_snapshot)
		return;

	exit_stats_clear(vcpu->exit_stats_snapshot);
	kvm_exit_stats_sum_vm(vcpu->kvm, vcpu->exit_stats_snapshot);
}

/*
 * Serve a leaf of the exit statistics.  Returns whether it was served; if not,
 * the registers are untouched.
 */
bool kvm_exit_stats_cpuid(struct kvm_vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	struct kvm_exit_stats_vm *vm = &vcpu->kvm->arch.exit_stats;
	struct exit_stats_config config = vm->config;
	const u32 leaf = *eax, subleaf = *ecx;
	const u32 field = leaf == EXIT_STATS_EXTENSION ? EXIT_STATS_FIELD(subleaf) : 0;
	const bool of_snapshot = leaf <= EXIT_STATS_EXTENSION &&
				 (subleaf & EXIT_STATS_OF_SNAPSHOT);
	struct exit_stats_regs regs = {};
	struct kvm_vcpu *other;
	bool served = false;
	unsigned long i;

	if (leaf > EXIT_STATS_LAST_LEAF || !vm->on || !READ_ONCE(vm->guest))
		return false;

	if (field == EXIT_STATS_STATE)
		kvm_x86_call(exit_reasons_enabled)(vcpu, config.enabled);
	if (field == EXIT_STATS_SNAPSHOT && !of_snapshot)
		exit_stats_take_snapshot(vcpu);

	if (field == EXIT_STATS_SNAPSHOT || of_snapshot) {
		served = exit_stats_answer(&config, leaf, subleaf,
					   vcpu->exit_stats_snapshot, &regs);
	} else if (leaf == EXIT_STATS_CAUSES) {
		/* Entries of several tables have nothing in common: this vCPU's own. */
		served = exit_stats_answer(&config, leaf, subleaf, vcpu->exit_stats.set, &regs);
	} else {
		kvm_for_each_vcpu(i, other, vcpu->kvm) {
			served = exit_stats_answer(&config, leaf, subleaf,
						   other->exit_stats.set, &regs);
			cond_resched();
		}
	}
	if (!served)
		return false;

	*eax = regs.eax;
	*ebx = regs.ebx;
	*ecx = regs.ecx;
	*edx = regs.edx;
	trace_kvm_cpuid(leaf, subleaf, *eax, *ebx, *ecx, *edx, true, false);
	return true;
}

/* KVM_CHECK_EXTENSION: what the VMM can turn on and off. */
int kvm_exit_stats_capability(struct kvm *kvm)
{
	if (!kvm || !kvm->arch.exit_stats.on || !kvm->arch.exit_stats.vmm_decides)
		return 0;
	return KVM_X86_EXIT_STATS_LEAVES |
	       (EXIT_STATS_CAN_KEEP_CAUSES ? KVM_X86_EXIT_STATS_CAUSES : 0);
}

/*
 * KVM_ENABLE_CAP: turn the leaves on or off, and the causes on, which is possible
 * as long as there is no vCPU.
 */
int kvm_exit_stats_enable_cap(struct kvm *kvm, u64 arg)
{
	struct kvm_exit_stats_vm *vm = &kvm->arch.exit_stats;
	u64 known = kvm_exit_stats_capability(kvm);

	if (!known || (arg & ~known))
		return -EINVAL;

	guard(mutex)(&kvm->lock);
	if ((arg & KVM_X86_EXIT_STATS_CAUSES) && !vm->config.causes) {
		if (kvm->created_vcpus)
			return -EBUSY;
		WRITE_ONCE(vm->config.causes, true);
	}
	WRITE_ONCE(vm->guest, arg & KVM_X86_EXIT_STATS_LEAVES);
	return 0;
}
