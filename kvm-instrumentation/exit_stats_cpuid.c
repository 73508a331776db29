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
#include <linux/moduleparam.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include <asm/tsc.h>

#include "exit_stats_hooks.h"
#include "trace.h"

enum {
	EXIT_STATS_GUEST_OFF,
	EXIT_STATS_GUEST_VM,
	EXIT_STATS_GUEST_HOST,
};

/* A parameter whose value is one of a few words. */
struct exit_stats_choice {
	const char *const *words;
	size_t nr_words;
	unsigned int chosen;
};

static const char *const exit_stats_guest_words[] = {
	[EXIT_STATS_GUEST_OFF] = "off",
	[EXIT_STATS_GUEST_VM] = "vm",
	[EXIT_STATS_GUEST_HOST] = "host",
};

static const char *const exit_stats_layout_words[] = {
	[EXIT_STATS_SPRING22] = "spring22",
	[EXIT_STATS_FALL22] = "fall22",
	[EXIT_STATS_COMBINED] = "combined",
};

static struct exit_stats_choice exit_stats_guest = {
	.words = exit_stats_guest_words,
	.nr_words = ARRAY_SIZE(exit_stats_guest_words),
	.chosen = EXIT_STATS_GUEST_VM,
};

static struct exit_stats_choice exit_stats_layout = {
	.words = exit_stats_layout_words,
	.nr_words = ARRAY_SIZE(exit_stats_layout_words),
	.chosen = EXIT_STATS_SPRING22,
};

static int exit_stats_set_choice(const char *val, const struct kernel_param *kp)
{
	struct exit_stats_choice *choice = kp->arg;
	int i;

	i = __sysfs_match_string(choice->words, choice->nr_words, val);
	if (i < 0)
		return i;

	WRITE_ONCE(choice->chosen, i);
	return 0;
}

static int exit_stats_get_choice(char *buffer, const struct kernel_param *kp)
{
	const struct exit_stats_choice *choice = kp->arg;

	return sysfs_emit(buffer, "%s\n", choice->words[READ_ONCE(choice->chosen)]);
}

static const struct kernel_param_ops exit_stats_choice_ops = {
	.set = exit_stats_set_choice,
	.get = exit_stats_get_choice,
};

module_param_cb(exit_stats_guest, &exit_stats_choice_ops, &exit_stats_guest, 0644);
__MODULE_PARM_TYPE(exit_stats_guest, "charp");
MODULE_PARM_DESC(exit_stats_guest, "What guests see of VM exits: off, vm (their own) or host");

module_param_cb(exit_stats_layout, &exit_stats_choice_ops, &exit_stats_layout, 0644);
__MODULE_PARM_TYPE(exit_stats_layout, "charp");
MODULE_PARM_DESC(exit_stats_layout, "Leaves 0x4ffffffc to f as in spring22, fall22 or combined");

/* One leaf that is being served. */
struct exit_stats_request {
	struct exit_stats_config config;
	struct exit_stats_query query;
	struct kvm_exit_stats_set *snapshot;
	u32 leaf;
	u32 subleaf;
	u32 step;
};

static void exit_stats_request_reset(void *data)
{
	struct exit_stats_request *req = data;

	req->step = exit_stats_query_begin(&req->query, &req->config, req->leaf, req->subleaf);
	if (req->step == EXIT_STATS_TAKE_SNAPSHOT && req->snapshot->counters)
		exit_stats_snapshot_begin(req->snapshot->counters, req->snapshot->hist);
}

static void exit_stats_request_add(void *data, const struct exit_stats_counters *counters,
				   const struct exit_stats_hist *hist)
{
	struct exit_stats_request *req = data;

	if (req->step == EXIT_STATS_TAKE_SNAPSHOT)
		exit_stats_merge(req->snapshot->counters, req->snapshot->hist, counters, hist);
	else
		exit_stats_query_add(&req->query, counters, hist);
}

static void exit_stats_request_walk(struct exit_stats_request *req, struct kvm *kvm)
{
	struct exit_stats_vcpu *live;
	struct kvm_vcpu *vcpu;
	unsigned long i;

	if (req->config.host_scope) {
		kvm_exit_stats_walk_host(exit_stats_request_reset, exit_stats_request_add, req);
		return;
	}

	exit_stats_request_reset(req);
	kvm_for_each_vcpu(i, vcpu, kvm) {
		live = &vcpu->exit_stats.live;
		exit_stats_request_add(req, &live->counters, live->clock.hist);
	}
}

/**
 * kvm_exit_stats_cpuid() - serve a leaf of the exit statistics
 * @vcpu:	the vCPU that executes CPUID
 * @eax:	the leaf; replaced if it is served
 * @ebx:	replaced if the leaf is served
 * @ecx:	the subleaf; replaced if the leaf is served
 * @edx:	replaced if the leaf is served
 *
 * Return: whether the leaf was served; if not, the registers are untouched.
 */
bool kvm_exit_stats_cpuid(struct kvm_vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	struct kvm_exit_stats_set *snapshot = &vcpu->exit_stats.snapshot;
	unsigned int guest = READ_ONCE(exit_stats_guest.chosen);
	struct exit_stats_request req = {
		.config = {
			.layout = READ_ONCE(exit_stats_layout.chosen),
			.tsc_khz = tsc_khz,
			.host_scope = guest == EXIT_STATS_GUEST_HOST,
			.hist = vcpu->exit_stats.live.clock.hist,
		},
		.snapshot = snapshot,
		.leaf = *eax,
		.subleaf = *ecx,
	};
	struct exit_stats_regs regs;

	if (guest == EXIT_STATS_GUEST_OFF)
		return false;

	/* Only for VMs whose exits the vendor module records. */
	if (!kvm_x86_call(exit_reasons_enabled)(vcpu, req.config.enabled))
		return false;

	req.step = exit_stats_query_begin(&req.query, &req.config, req.leaf, req.subleaf);
	switch (req.step) {
	case EXIT_STATS_NOT_SERVED:
		return false;
	case EXIT_STATS_ADD_LIVE:
		exit_stats_request_walk(&req, vcpu->kvm);
		break;
	case EXIT_STATS_TAKE_SNAPSHOT:
		/*
		 * Without memory for it there is no snapshot, which the guest
		 * is told as of any other selector that is not there.
		 */
		if (!snapshot->counters)
			kvm_exit_stats_alloc(snapshot, req.config.hist,
					     GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
		if (!snapshot->counters)
			break;

		exit_stats_request_walk(&req, vcpu->kvm);
		fallthrough;
	case EXIT_STATS_ADD_SNAPSHOT:
		if (snapshot->counters)
			exit_stats_query_add(&req.query, snapshot->counters, snapshot->hist);
		break;
	}

	exit_stats_query_end(&req.query, &regs);
	*eax = regs.eax;
	*ebx = regs.ebx;
	*ecx = regs.ecx;
	*edx = regs.edx;
	trace_kvm_cpuid(req.leaf, req.subleaf, *eax, *ebx, *ecx, *edx, true, false);
	return true;
}
