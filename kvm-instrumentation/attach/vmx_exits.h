/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vmx_exits: what its files share.
 *
 * The counting is exit_stats', the Rust object.  This module brings it what an
 * unmodified KVM lets be seen: its tracepoints, and calls of its functions.
 */
#ifndef __VMX_EXITS_H
#define __VMX_EXITS_H

#include <linux/jump_label.h>
#include <linux/kref.h>
#include <linux/kvm_host.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/types.h>

#include "../exit_stats.h"

struct dentry;

/* A VM that has run since the module was loaded.  All but @guest and @base is fixed. */
struct vmx_exits_vm {
	struct kvm *kvm;		/* names it; NULL once it has ended */
	struct list_head list;		/* of all; vmx_exits_lock */
	struct list_head vcpus;		/* grows only, by list_add_tail_rcu() */
	struct exit_stats_config config;
	bool vmm_decides;		/* @guest may be changed */
	bool guest;			/* the guest may read them */
	struct mutex lock;		/* of @base */
	struct exit_stats *base;	/* what the host's view is reset to, or NULL */
	struct dentry *dir;
	struct kref ref;
	struct rcu_head rcu;
};

/* A vCPU that is counted.  It lives as long as what counts its VM. */
struct vmx_exits_vcpu {
	struct hlist_node hash;		/* by @vcpu */
	struct list_head list;		/* of its VM */
	struct kvm_vcpu *vcpu;
	struct vmx_exits_vm *vm;
	int id;
	struct exit_stats_vcpu exits;
	struct exit_stats *snapshot;	/* its guest's latest, or NULL */
};

/* The vCPU that this CPU handled last: the exit path has to search for nothing else. */
struct vmx_exits_latest {
	struct kvm_vcpu *vcpu;
	struct exit_stats_vcpu *exits;
};

DECLARE_PER_CPU(struct vmx_exits_latest, vmx_exits_latest);

/* Of the list of VMs, and of each VM's list of vCPUs. */
extern struct mutex vmx_exits_lock;
extern struct list_head vmx_exits_vms;

/* EXIT_STATS_VMX or EXIT_STATS_SVM. */
extern u32 vmx_exits_vendor;

/* Module parameters; they hold for VMs that are met from then on. */
enum vmx_exits_guest {
	VMX_EXITS_GUEST_OFF,
	VMX_EXITS_GUEST_VMM,
	VMX_EXITS_GUEST_VM,
};

extern unsigned int vmx_exits_guest;
extern unsigned int vmx_exits_layout;
extern bool vmx_exits_hist;
extern bool vmx_exits_causes;

DECLARE_STATIC_KEY_FALSE(vmx_exits_causes_key);

/* sets.c */
struct vmx_exits_vcpu *vmx_exits_find(struct kvm_vcpu *vcpu);
void vmx_exits_before_run(struct kvm_vcpu *vcpu);
void vmx_exits_want(struct kvm_vcpu *vcpu);
void vmx_exits_end_wants(void);
void vmx_exits_end_vm(struct kvm *kvm);
void vmx_exits_put_vm(struct vmx_exits_vm *vm);
int vmx_exits_begin(void);
void vmx_exits_end_all(void);
struct exit_stats_vcpu *vmx_exits_search(struct kvm_vcpu *vcpu);
void vmx_exits_sum(struct vmx_exits_vm *vm, struct exit_stats *sum);

/* Return what a vCPU does, or NULL if it is not counted; with preemption off. */
static __always_inline struct exit_stats_vcpu *vmx_exits_of(struct kvm_vcpu *vcpu)
{
	if (likely(__this_cpu_read(vmx_exits_latest.vcpu) == vcpu))
		return __this_cpu_read(vmx_exits_latest.exits);
	return vmx_exits_search(vcpu);
}

/* hooks.c */
int vmx_exits_hook(void);
void vmx_exits_unhook(void);
bool vmx_exits_has_function(const char *name);

/* trampolines.S, which compares with the first of these, and calls the two functions */
extern unsigned long vmx_exits_goes_on[];
void vmx_exits_trampoline(void);
void vmx_exits_called(void *argument, unsigned long goes_on);
bool vmx_exits_cpuid(struct kvm_vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx,
		     bool exact_only);

/* cpuid.c */
bool vmx_exits_answer(struct kvm_vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx);

/* state.c */
void vmx_exits_state(u64 *enabled);

/* debugfs.c */
void vmx_exits_create_debugfs(void);
void vmx_exits_create_vm_debugfs(struct vmx_exits_vm *vm);
void vmx_exits_remove_vm_debugfs(struct vmx_exits_vm *vm);
void vmx_exits_remove_debugfs(void);

#endif /* __VMX_EXITS_H */
