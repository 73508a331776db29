// SPDX-License-Identifier: GPL-2.0
/*
 * vmx_exits: the counters of vCPUs, and the VMs that these belong to.
 *
 * A vCPU gets its counters before it enters KVM_RUN; one that was in there when
 * the module came, a moment after its next entry.  They go when KVM destroys the
 * VM.  KVM's structures are not changed, so a vCPU is looked up by its address:
 * in a hash table, behind a cache of one for each CPU.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpumask.h>
#include <linux/hashtable.h>
#include <linux/random.h>
#include <linux/rculist.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include <asm/tsc.h>

#include "vmx_exits.h"
#include "../exit_stats_alloc.h"

DEFINE_PER_CPU(struct vmx_exits_latest, vmx_exits_latest);

DEFINE_MUTEX(vmx_exits_lock);
LIST_HEAD(vmx_exits_vms);

/* Written with the lock held. */
static DEFINE_HASHTABLE(vmx_exits_vcpus, 10);

/* Add a VM's vCPUs, which may be running, to @sum. */
void vmx_exits_sum(struct vmx_exits_vm *vm, struct exit_stats *sum)
{
	struct vmx_exits_vcpu *v;

	/* Nothing leaves this list, so sleeping in between does not matter. */
	list_for_each_entry_rcu(v, &vm->vcpus, list, true) {
		exit_stats_add(sum, v->exits.set);
		cond_resched();
	}
}

struct vmx_exits_vcpu *vmx_exits_find(struct kvm_vcpu *vcpu)
{
	struct vmx_exits_vcpu *v;

	hash_for_each_possible_rcu(vmx_exits_vcpus, v, hash, (unsigned long)vcpu,
				   lockdep_is_held(&vmx_exits_lock)) {
		if (v->vcpu == vcpu)
			return v;
	}
	return NULL;
}

/* Return what a vCPU does, or NULL, and remember it; with preemption off. */
struct exit_stats_vcpu *vmx_exits_search(struct kvm_vcpu *vcpu)
{
	struct vmx_exits_vcpu *v;

	rcu_read_lock();
	v = vmx_exits_find(vcpu);
	if (v) {
		__this_cpu_write(vmx_exits_latest.exits, &v->exits);
		__this_cpu_write(vmx_exits_latest.vcpu, vcpu);
	}
	rcu_read_unlock();
	return v ? &v->exits : NULL;
}

/*
 * Whether KVM's structures lie as the headers say that this was built with: if
 * so, these fields, behind which there is nothing that is needed, hold what KVM
 * keeps there.
 */
static bool vmx_exits_layout_known(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = READ_ONCE(vcpu->arch.mmu);

	return vcpu->kvm->mm == current->mm &&
	       (mmu == &vcpu->arch.root_mmu || mmu == &vcpu->arch.guest_mmu);
}

static void vmx_exits_free_vm(struct vmx_exits_vm *vm)
{
	struct vmx_exits_vcpu *v, *next;

	list_for_each_entry_safe(v, next, &vm->vcpus, list) {
		exit_stats_free(v->snapshot);
		exit_stats_free(v->exits.set);
		kfree(v);
	}
	kfree(vm->base);
	kfree(vm);
}

static void vmx_exits_free_vm_rcu(struct rcu_head *rcu)
{
	vmx_exits_free_vm(container_of(rcu, struct vmx_exits_vm, rcu));
}

static void vmx_exits_release_vm(struct kref *ref)
{
	call_rcu(&container_of(ref, struct vmx_exits_vm, ref)->rcu, vmx_exits_free_vm_rcu);
}

void vmx_exits_put_vm(struct vmx_exits_vm *vm)
{
	kref_put(&vm->ref, vmx_exits_release_vm);
}

static struct vmx_exits_vm *vmx_exits_find_vm(struct kvm *kvm)
{
	struct vmx_exits_vm *vm;

	list_for_each_entry(vm, &vmx_exits_vms, list) {
		if (vm->kvm == kvm)
			return vm;
	}
	return NULL;
}

static struct vmx_exits_vm *vmx_exits_new_vm(struct kvm *kvm)
{
	struct vmx_exits_vm *vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	unsigned int guest = READ_ONCE(vmx_exits_guest);

	if (!vm)
		return NULL;

	vm->kvm = kvm;
	INIT_LIST_HEAD(&vm->vcpus);
	mutex_init(&vm->lock);
	kref_init(&vm->ref);
	vm->vmm_decides = guest != VMX_EXITS_GUEST_OFF;
	vm->guest = guest == VMX_EXITS_GUEST_VM;
	vm->config = (struct exit_stats_config) {
		.instance = get_random_u64(),
		.layout = READ_ONCE(vmx_exits_layout),
		.vendor = vmx_exits_vendor,
		.tsc_khz = tsc_khz,
		.hist = READ_ONCE(vmx_exits_hist),
		.beside = true,
		.causes = READ_ONCE(vmx_exits_causes),
	};
	if (vm->config.causes)
		static_branch_enable(&vmx_exits_causes_key);
	return vm;
}

/* Give a vCPU counters; with the lock held, so that its VM is not destroyed meanwhile. */
static int vmx_exits_add(struct kvm_vcpu *vcpu)
{
	struct vmx_exits_vm *vm, *found = vmx_exits_find_vm(vcpu->kvm);
	struct vmx_exits_vcpu *v, *other;
	struct list_head *before;

	vm = found ?: vmx_exits_new_vm(vcpu->kvm);
	if (!vm)
		return -ENOMEM;

	v = kzalloc(sizeof(*v), GFP_KERNEL_ACCOUNT);
	if (v)
		v->exits.set = exit_stats_alloc(&vm->config, EXIT_STATS_CAUSE_ENTRIES,
						GFP_KERNEL_ACCOUNT);
	if (!v || !v->exits.set) {
		kfree(v);
		if (!found)
			kfree(vm);
		return -ENOMEM;
	}
	/* KVM_RUN may return before the guest was ever entered. */
	v->exits.latest = EXIT_STATS_OVER;
	v->vcpu = vcpu;
	v->vm = vm;
	v->id = vcpu->vcpu_id;

	if (!found) {
		list_add_tail(&vm->list, &vmx_exits_vms);
		vmx_exits_create_vm_debugfs(vm);
	}
	/* They are listed by their numbers. */
	before = &vm->vcpus;
	list_for_each_entry(other, &vm->vcpus, list) {
		if (other->id > v->id) {
			before = &other->list;
			break;
		}
	}
	list_add_tail_rcu(&v->list, before);
	hash_add_rcu(vmx_exits_vcpus, &v->hash, (unsigned long)vcpu);
	return 0;
}

static void vmx_exits_add_unless_there(struct kvm_vcpu *vcpu)
{
#ifdef KVM_X86_TDX_VM
	/* The TDX module handles some of a TD's exits, and KVM others elsewhere. */
	if (vcpu->kvm->arch.vm_type == KVM_X86_TDX_VM)
		return;
#endif
	mutex_lock(&vmx_exits_lock);
	if (!vmx_exits_find(vcpu) && vmx_exits_add(vcpu))
		pr_warn_ratelimited("out of memory: the exits of a vCPU are not counted\n");
	mutex_unlock(&vmx_exits_lock);
}

/* KVM_RUN is called, by the thread that runs the vCPU. */
void vmx_exits_before_run(struct kvm_vcpu *vcpu)
{
	bool there;

	rcu_read_lock();
	there = vmx_exits_find(vcpu);
	rcu_read_unlock();
	if (there)
		return;

	if (vmx_exits_layout_known(vcpu))
		vmx_exits_add_unless_there(vcpu);
	else
		pr_err_once("this KVM is not that of the kernel's headers: nothing is counted\n");
}

/* vCPUs that were in KVM_RUN when the module came, and who gives them counters. */
static struct kvm_vcpu *vmx_exits_wanted[64];
static struct workqueue_struct *vmx_exits_queue;

static void vmx_exits_give(struct work_struct *work)
{
	struct kvm_vcpu *vcpu;
	int i;

	for (i = 0; i < ARRAY_SIZE(vmx_exits_wanted); i++) {
		mutex_lock(&vmx_exits_lock);
		/* Until it is taken out of here with the lock held, its VM is not destroyed. */
		vcpu = READ_ONCE(vmx_exits_wanted[i]);
		if (vcpu && !vmx_exits_find(vcpu) && vmx_exits_add(vcpu))
			pr_warn_ratelimited("out of memory: the exits of a vCPU are not counted\n");
		WRITE_ONCE(vmx_exits_wanted[i], NULL);
		mutex_unlock(&vmx_exits_lock);
	}
}

static DECLARE_WORK(vmx_exits_work, vmx_exits_give);

/* The vCPU has no counters although it runs.  If there is no room here, it asks again. */
void vmx_exits_want(struct kvm_vcpu *vcpu)
{
	int i;

#ifdef KVM_X86_TDX_VM
	if (vcpu->kvm->arch.vm_type == KVM_X86_TDX_VM)
		return;
#endif
	if (!vmx_exits_layout_known(vcpu))
		return;

	for (i = 0; i < ARRAY_SIZE(vmx_exits_wanted); i++) {
		if (READ_ONCE(vmx_exits_wanted[i]) == vcpu)
			return;
	}
	for (i = 0; i < ARRAY_SIZE(vmx_exits_wanted); i++) {
		if (!READ_ONCE(vmx_exits_wanted[i]) && !cmpxchg(&vmx_exits_wanted[i], NULL, vcpu))
			break;
	}
	queue_work(vmx_exits_queue, &vmx_exits_work);
}

/* Wait until each has got them, when none will ask any more. */
void vmx_exits_end_wants(void)
{
	flush_work(&vmx_exits_work);
}

/* With the lock held. */
static void vmx_exits_forget(struct vmx_exits_vm *vm)
{
	struct vmx_exits_vcpu *v;
	int cpu;

	list_del(&vm->list);
	list_for_each_entry(v, &vm->vcpus, list) {
		hash_del_rcu(&v->hash);
		/* It does not run any more, so no CPU takes it up again. */
		for_each_possible_cpu(cpu)
			cmpxchg(&per_cpu(vmx_exits_latest.vcpu, cpu), v->vcpu, NULL);
	}
	WRITE_ONCE(vm->kvm, NULL);
}

/* KVM is about to destroy a VM. */
void vmx_exits_end_vm(struct kvm *kvm)
{
	struct vmx_exits_vm *vm;
	struct kvm_vcpu *vcpu;
	int i;

	mutex_lock(&vmx_exits_lock);
	for (i = 0; i < ARRAY_SIZE(vmx_exits_wanted); i++) {
		vcpu = READ_ONCE(vmx_exits_wanted[i]);
		if (vcpu && vcpu->kvm == kvm)
			WRITE_ONCE(vmx_exits_wanted[i], NULL);
	}
	vm = vmx_exits_find_vm(kvm);
	if (vm)
		vmx_exits_forget(vm);
	mutex_unlock(&vmx_exits_lock);

	if (vm) {
		vmx_exits_remove_vm_debugfs(vm);
		vmx_exits_put_vm(vm);
	}
}

int vmx_exits_begin(void)
{
	vmx_exits_queue = alloc_workqueue(KBUILD_MODNAME, WQ_UNBOUND, 0);
	return vmx_exits_queue ? 0 : -ENOMEM;
}

/* Nothing counts any more: free everything. */
void vmx_exits_end_all(void)
{
	struct vmx_exits_vm *vm, *next;

	destroy_workqueue(vmx_exits_queue);
	mutex_lock(&vmx_exits_lock);
	list_for_each_entry_safe(vm, next, &vmx_exits_vms, list) {
		vmx_exits_forget(vm);
		vmx_exits_put_vm(vm);
	}
	mutex_unlock(&vmx_exits_lock);
	rcu_barrier();
}
