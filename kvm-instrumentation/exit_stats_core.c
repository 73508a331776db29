// SPDX-License-Identifier: GPL-2.0
/*
 * Counts and times of VM exits: parameters, lifecycle and sums.
 *
 * A vCPU's counters are written by its own thread only and are a member of the
 * vCPU, so they live as long as it does.  What is here decides whether they
 * are written, sums them for readers, and keeps what ended VMs leave behind.
 *
 * Readers of the host's totals, among them a guest if the host has opted in,
 * take no lock: VMs are on a list under SRCU, and the moment in which an ended
 * VM's figures move from its vCPUs to the host's own set is a write section of
 * a seqcount, so no reader can see them twice or not at all.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>
#include <linux/kstrtox.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/rculist.h>
#include <linux/seqlock.h>
#include <linux/slab.h>
#include <linux/srcu.h>

#include <asm/tsc.h>

#include "exit_stats_hooks.h"

/* Serialises the writers of everything below. */
static DEFINE_MUTEX(exit_stats_lock);

static bool exit_stats_wanted = true;
static bool exit_stats_supported;

static bool exit_stats_hist = true;
module_param(exit_stats_hist, bool, 0644);
MODULE_PARM_DESC(exit_stats_hist, "Histograms of exit handling times, for VMs made from now on");

static LIST_HEAD(exit_stats_vms);
DEFINE_STATIC_SRCU(exit_stats_srcu);

static seqcount_mutex_t exit_stats_seq = SEQCNT_MUTEX_ZERO(exit_stats_seq, &exit_stats_lock);

/* The sum over the vCPUs of all VMs that ended, and where it is prepared. */
static struct exit_stats_counters exit_stats_ended;
static struct exit_stats_hist exit_stats_ended_hist;
static struct exit_stats_counters exit_stats_scratch;
static struct exit_stats_hist exit_stats_scratch_hist;

static void exit_stats_update_key(void)
{
	bool on = exit_stats_wanted && exit_stats_supported;

	lockdep_assert_held(&exit_stats_lock);

	if (on == static_key_enabled(&kvm_exit_stats_key))
		return;

	/*
	 * The hooks are patched one after the other: disarmed meanwhile, so that
	 * no exit is recorded by some of them and missed by the others.
	 */
	exit_stats_arm(false, rdtsc());
	if (on) {
		static_branch_enable(&kvm_exit_stats_key);
		exit_stats_arm(true, rdtsc());
	} else {
		static_branch_disable(&kvm_exit_stats_key);
	}
}

static int exit_stats_set_wanted(const char *val, const struct kernel_param *kp)
{
	bool wanted = true;
	int r;

	/* As for any bool parameter, the name alone means yes. */
	if (val) {
		r = kstrtobool(val, &wanted);
		if (r)
			return r;
	}

	guard(mutex)(&exit_stats_lock);
	exit_stats_wanted = wanted;
	exit_stats_update_key();
	return 0;
}

static const struct kernel_param_ops exit_stats_wanted_ops = {
	.flags = KERNEL_PARAM_OPS_FL_NOARG,
	.set = exit_stats_set_wanted,
	.get = param_get_bool,
};

module_param_cb(exit_stats, &exit_stats_wanted_ops, &exit_stats_wanted, 0644);
__MODULE_PARM_TYPE(exit_stats, "bool");
MODULE_PARM_DESC(exit_stats, "Count and time VM exits");

/**
 * kvm_exit_stats_vendor_init() - a vendor module has been loaded
 *
 * There are no VMs yet, so this is where the host's totals start at zero.  If
 * the module does not record its exits, the key stays off.
 */
void kvm_exit_stats_vendor_init(void)
{
	guard(mutex)(&exit_stats_lock);

	memset(&exit_stats_ended, 0, sizeof(exit_stats_ended));
	memset(&exit_stats_ended_hist, 0, sizeof(exit_stats_ended_hist));
	exit_stats_supported = kvm_x86_ops.exit_reasons_enabled;
	exit_stats_update_key();
}

/* Only to be called between a vendor module's loading and its unloading. */
bool kvm_exit_stats_supported(void)
{
	return exit_stats_supported;
}

int kvm_exit_stats_alloc(struct kvm_exit_stats_set *set, bool hist, gfp_t gfp)
{
	const size_t size = sizeof(*set->counters), hist_size = sizeof(*set->hist);

	set->counters = kzalloc(size, gfp);
	set->hist = hist ? kzalloc(hist_size, gfp) : NULL;
	if (set->counters && (set->hist || !hist))
		return 0;

	kvm_exit_stats_free(set);
	return -ENOMEM;
}

void kvm_exit_stats_free(struct kvm_exit_stats_set *set)
{
	kfree(set->counters);
	kfree(set->hist);
	set->counters = NULL;
	set->hist = NULL;
}

void kvm_exit_stats_init_vm(struct kvm *kvm)
{
	INIT_LIST_HEAD(&kvm->arch.exit_stats.node);
	mutex_init(&kvm->arch.exit_stats.lock);
}

/**
 * kvm_exit_stats_end_vm() - a VM is about to be destroyed
 * @kvm:	the VM, which nobody else refers to any more
 *
 * Its vCPUs will never run again: what they counted is final, and is added to
 * the totals of ended VMs at the moment at which the VM leaves the list.
 */
void kvm_exit_stats_end_vm(struct kvm *kvm)
{
	const struct kvm_exit_stats_set scratch = {
		.counters = &exit_stats_scratch,
		.hist = &exit_stats_scratch_hist,
	};

	kvm_exit_stats_free(&kvm->arch.exit_stats.base);

	if (list_empty(&kvm->arch.exit_stats.node))
		return;

	mutex_lock(&exit_stats_lock);

	/* Summed beforehand, for readers spin while the figures move. */
	memset(scratch.counters, 0, sizeof(*scratch.counters));
	memset(scratch.hist, 0, sizeof(*scratch.hist));
	kvm_exit_stats_sum_vm(kvm, &scratch);

	write_seqcount_begin(&exit_stats_seq);
	list_del_rcu(&kvm->arch.exit_stats.node);
	exit_stats_merge(&exit_stats_ended, &exit_stats_ended_hist,
			 scratch.counters, scratch.hist);
	write_seqcount_end(&exit_stats_seq);

	mutex_unlock(&exit_stats_lock);

	synchronize_srcu(&exit_stats_srcu);
}

/**
 * kvm_exit_stats_create_vcpu() - a vCPU is being made
 * @vcpu:	the vCPU
 *
 * Statistics are no reason for a VM not to start: without memory for the
 * histograms there are none, and readers are told so.
 */
void kvm_exit_stats_create_vcpu(struct kvm_vcpu *vcpu)
{
	struct exit_stats_clock *clock = &vcpu->exit_stats.live.clock;

	if (exit_stats_supported && READ_ONCE(exit_stats_hist))
		clock->hist = kzalloc(sizeof(*clock->hist), GFP_KERNEL_ACCOUNT);
}

/**
 * kvm_exit_stats_enlist() - a vCPU is online
 * @vcpu:	the vCPU
 *
 * A VM counts among the host's from its first vCPU on.
 */
void kvm_exit_stats_enlist(struct kvm_vcpu *vcpu)
{
	struct kvm_exit_stats_vm *vm = &vcpu->kvm->arch.exit_stats;

	guard(mutex)(&exit_stats_lock);
	if (exit_stats_supported && list_empty(&vm->node))
		list_add_tail_rcu(&vm->node, &exit_stats_vms);
}

void kvm_exit_stats_destroy_vcpu(struct kvm_vcpu *vcpu)
{
	kfree(vcpu->exit_stats.live.clock.hist);
	kvm_exit_stats_free(&vcpu->exit_stats.snapshot);
}

/**
 * kvm_exit_stats_has_hist() - whether a VM has histograms
 * @kvm:	the VM
 *
 * Return: true if one of its vCPUs has.
 */
bool kvm_exit_stats_has_hist(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		if (vcpu->exit_stats.live.clock.hist)
			return true;
	}
	return false;
}

/**
 * kvm_exit_stats_sum_vm() - add up a VM's vCPUs
 * @kvm:	the VM, which may be running
 * @sum:	added to
 */
void kvm_exit_stats_sum_vm(struct kvm *kvm, const struct kvm_exit_stats_set *sum)
{
	struct exit_stats_vcpu *live;
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		live = &vcpu->exit_stats.live;
		exit_stats_merge(sum->counters, sum->hist, &live->counters, live->clock.hist);
	}
}

/**
 * kvm_exit_stats_walk_host() - visit all sets that make the host's totals
 * @reset:	called first, and again before each new attempt
 * @add:	called for every set: the ended VMs' and every living vCPU's
 * @data:	passed to both
 *
 * The walk is done again if a VM ended meanwhile.
 */
void kvm_exit_stats_walk_host(void (*reset)(void *data),
			      void (*add)(void *data, const struct exit_stats_counters *counters,
					  const struct exit_stats_hist *hist),
			      void *data)
{
	struct exit_stats_vcpu *live;
	struct kvm_vcpu *vcpu;
	struct kvm_arch *vm;
	unsigned int seq;
	unsigned long i;
	int idx;

	do {
		seq = read_seqcount_begin(&exit_stats_seq);
		reset(data);
		add(data, &exit_stats_ended, &exit_stats_ended_hist);

		idx = srcu_read_lock(&exit_stats_srcu);
		list_for_each_entry_srcu(vm, &exit_stats_vms, exit_stats.node,
					 srcu_read_lock_held(&exit_stats_srcu)) {
			kvm_for_each_vcpu(i, vcpu, container_of(vm, struct kvm, arch)) {
				live = &vcpu->exit_stats.live;
				add(data, &live->counters, live->clock.hist);
			}
		}
		srcu_read_unlock(&exit_stats_srcu, idx);
	} while (read_seqcount_retry(&exit_stats_seq, seq));
}
