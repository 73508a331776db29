/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Counts and times of VM exits: what KVM's own structures carry for them.
 *
 * Included by asm/kvm_host.h, so it must not need any type of KVM's.
 */
#ifndef _ASM_X86_KVM_EXIT_STATS_H
#define _ASM_X86_KVM_EXIT_STATS_H

#ifdef CONFIG_KVM_EXIT_STATS

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>

#include <asm/exit_stats.h>

/*
 * The members below change the layouts that kvm.ko and the vendor modules share,
 * which only CONFIG_MODVERSIONS would notice.  So that without it, too, modules
 * built with this option and without it refuse each other, the first function
 * that a vendor module calls has another name.
 */
#define kvm_x86_vendor_init kvm_x86_vendor_init_exit_stats

/**
 * struct kvm_exit_stats_set - one set of counters and its histograms
 * @counters:	the counters, or NULL
 * @hist:	the histograms, or NULL when there are none
 */
struct kvm_exit_stats_set {
	struct exit_stats_counters *counters;
	struct exit_stats_hist *hist;
};

/**
 * struct kvm_exit_stats_vcpu - a vCPU's share
 * @live:	the counters and their timing, recorded by the Rust object
 * @snapshot:	the guest's snapshot, made at its first request and private to
 *		the vCPU's thread
 */
struct kvm_exit_stats_vcpu {
	struct exit_stats_vcpu live;
	struct kvm_exit_stats_set snapshot;
};

/**
 * struct kvm_exit_stats_vm - a VM's share
 * @node:	in the list of VMs that make the host's totals, from the first
 *		vCPU to the VM's end
 * @lock:	protects @base, and serialises the copies made for KVM's binary
 *		statistics
 * @base:	what the host's view of this VM is reset to, if it ever was
 */
struct kvm_exit_stats_vm {
	struct list_head node;
	struct mutex lock; /* of base and of the binary statistics' copies */
	struct kvm_exit_stats_set base;
};

#endif /* CONFIG_KVM_EXIT_STATS */

#endif /* _ASM_X86_KVM_EXIT_STATS_H */
