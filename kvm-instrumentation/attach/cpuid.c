// SPDX-License-Identifier: GPL-2.0
/*
 * vmx_exits: the CPUID leaves by which a guest reads its exits.
 *
 * Leaves and selectors are decoded by the Rust object; what is here brings it
 * the counters.  A guest may ask as often as it likes: that takes no lock, logs
 * nothing, and allocates one snapshot a vCPU, on the VM's own account.
 */
#include <linux/rculist.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "vmx_exits.h"
#include "../exit_stats_alloc.h"

#define EXIT_STATS_FIELD(selector) (((selector) >> 16) & 0x7fff)

/* Without memory for it there is no snapshot: the selector is then not there. */
static void vmx_exits_take_snapshot(struct vmx_exits_vcpu *v)
{
	if (!v->snapshot)
		v->snapshot = exit_stats_alloc(&v->vm->config, 2 * EXIT_STATS_CAUSE_ENTRIES,
					       GFP_KERNEL_ACCOUNT | __GFP_NORETRY | __GFP_NOWARN);
	if (!v->snapshot)
		return;

	exit_stats_clear(v->snapshot);
	vmx_exits_sum(v->vm, v->snapshot);
}

/*
 * Answer a leaf, on the vCPU's own thread.  Returns false, and leaves the registers
 * alone, if KVM is to answer it as if this module did not exist.
 */
bool vmx_exits_answer(struct kvm_vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	const u32 leaf = *eax, subleaf = *ecx;
	const u32 field = leaf == EXIT_STATS_EXTENSION ? EXIT_STATS_FIELD(subleaf) : 0;
	const bool of_snapshot = leaf <= EXIT_STATS_EXTENSION &&
				 (subleaf & EXIT_STATS_OF_SNAPSHOT);
	struct exit_stats_regs regs = {};
	struct exit_stats_config config;
	struct vmx_exits_vcpu *v, *other;
	bool served = false;

	rcu_read_lock();
	v = vmx_exits_find(vcpu);
	rcu_read_unlock();
	/* It stays, because its vCPU runs. */
	if (!v || !READ_ONCE(v->vm->guest))
		return false;

	config = v->vm->config;
	if (field == EXIT_STATS_STATE)
		vmx_exits_state(config.enabled);
	if (field == EXIT_STATS_SNAPSHOT && !of_snapshot)
		vmx_exits_take_snapshot(v);

	if (field == EXIT_STATS_SNAPSHOT || of_snapshot) {
		served = exit_stats_answer(&config, leaf, subleaf, v->snapshot, &regs);
	} else if (leaf == EXIT_STATS_CAUSES) {
		/* Entries of several tables have nothing in common: this vCPU's own. */
		served = exit_stats_answer(&config, leaf, subleaf, v->exits.set, &regs);
	} else {
		list_for_each_entry_rcu(other, &v->vm->vcpus, list, true) {
			served = exit_stats_answer(&config, leaf, subleaf, other->exits.set, &regs);
			cond_resched();
		}
	}
	if (!served)
		return false;

	*eax = regs.eax;
	*ebx = regs.ebx;
	*ecx = regs.ecx;
	*edx = regs.edx;
	return true;
}
