/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Counts and times of VM exits: what KVM's own structures carry for them.
 *
 * Included by asm/kvm_host.h, so it must not need any type of KVM's.
 */
#ifndef _ASM_X86_KVM_EXIT_STATS_H
#define _ASM_X86_KVM_EXIT_STATS_H

#ifdef CONFIG_KVM_EXIT_STATS

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

/* A VM's share.  All but @guest and @base is fixed when the VM is made. */
struct kvm_exit_stats_vm {
	struct exit_stats_config config;
	bool on;		/* its exits are counted */
	bool vmm_decides;	/* the VMM may change @guest */
	bool guest;		/* the guest may read them */
	struct mutex lock;	/* of base and of the binary statistics' copies */
	struct exit_stats *base;	/* what the host's view is reset to, or NULL */
};

#endif /* CONFIG_KVM_EXIT_STATS */

#endif /* _ASM_X86_KVM_EXIT_STATS_H */
