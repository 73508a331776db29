// SPDX-License-Identifier: GPL-2.0
/*
 * vmx_exits: where it hears of what KVM does.
 *
 * The exit path has two probes, on KVM's tracepoints kvm_exit and kvm_entry.
 * What is rarer comes by ftrace's direct calls from a few of KVM's functions, as
 * BPF's trampolines do it: none of them is replaced, but kvm_cpuid() when it is
 * asked for one of our leaves.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/ftrace.h>
#include <linux/jump_label.h>
#include <linux/kprobes.h>
#include <linux/srcu.h>
#include <linux/tracepoint.h>
#include <linux/version.h>

#include <asm/tsc.h>

#include "vmx_exits.h"

/* KVM's own way to read the current VMCS is not for others. */
static __always_inline u64 vmx_exits_vmread(unsigned long field)
{
	unsigned long value;

	asm volatile("vmread %1, %0" : "=r"(value) : "r"(field) : "cc");
	return value;
}

#define exit_stats_vmreadl vmx_exits_vmread
#define exit_stats_vmread32(field) ((u32)vmx_exits_vmread(field))
#define exit_stats_vmread64 vmx_exits_vmread
#include "../exit_stats_keys.h"

/*
 * Weak, so that without KVM this module's own message is seen and not the
 * loader's.  They are only asked for through the table.
 */
extern struct tracepoint __tracepoint_kvm_entry __weak, __tracepoint_kvm_exit __weak;

enum { ENTRY, EXIT };

static struct tracepoint *const vmx_exits_tracepoints[] = {
	[ENTRY] = &__tracepoint_kvm_entry,
	[EXIT] = &__tracepoint_kvm_exit,
};

/* Of calls that may sleep: unloading waits for them. */
DEFINE_STATIC_SRCU(vmx_exits_srcu);

/* On from when the first VM is met whose causes are kept. */
DEFINE_STATIC_KEY_FALSE(vmx_exits_causes_key);

/* Functions that read a VMCB, whose place in KVM's structures is not for others. */
static void (*vmx_exits_svm_info)(struct kvm_vcpu *vcpu, u32 *reason, u64 *info1, u64 *info2,
				  u32 *intr_info, u32 *error_code);
static int (*vmx_exits_svm_cpl)(struct kvm_vcpu *vcpu);
static unsigned long (*vmx_exits_linear_rip)(struct kvm_vcpu *vcpu);

/* Nothing tells that there was no exit since: an entry may fail, or be given up. */
static __always_inline void vmx_exits_handled(struct exit_stats_vcpu *v)
{
	exit_stats_handled(v);
	WRITE_ONCE(v->latest, v->latest | EXIT_STATS_OVER);
}

/* The guest is about to be entered: the latest exit has been handled. */
static void vmx_exits_on_entry(void *data, struct kvm_vcpu *vcpu)
{
	struct exit_stats_vcpu *v = vmx_exits_of(vcpu);

	if (unlikely(!v)) {
		vmx_exits_want(vcpu);
		return;
	}
	if (likely(v->phase == EXIT_STATS_RUNNING)) {
		vmx_exits_handled(v);
	} else {
		exit_stats_event(v, EXIT_STATS_BLOCK_END);
		exit_stats_event(v, EXIT_STATS_USER_END);
	}
}

/* KVM has not touched the vCPU's VMCS since the exit, and interrupts are off. */
static void vmx_exits_on_vmx_exit(void *data, struct kvm_vcpu *vcpu)
{
	u64 tsc = rdtsc();
	struct exit_stats_vcpu *v = vmx_exits_of(vcpu);

	if (unlikely(!v))
		return;
	exit_stats_exit(v, exit_stats_vmread32(VM_EXIT_REASON),
			!!(vcpu->arch.hflags & HF_GUEST_MASK), tsc);
	if (static_branch_unlikely(&vmx_exits_causes_key) && v->set->causes)
		exit_stats_vmx_caused(vcpu, v);
}

static void vmx_exits_on_svm_exit(void *data, struct kvm_vcpu *vcpu)
{
	u64 tsc = rdtsc(), info1, info2;
	struct exit_stats_vcpu *v = vmx_exits_of(vcpu);
	struct exit_stats_key k;
	u32 reason, word;

	if (unlikely(!v))
		return;
	vmx_exits_svm_info(vcpu, &reason, &info1, &info2, &word, &word);
	exit_stats_exit(v, exit_stats_svm_number(reason), !!(vcpu->arch.hflags & HF_GUEST_MASK),
			tsc);
	if (!static_branch_unlikely(&vmx_exits_causes_key) || !v->set->causes)
		return;
	k = exit_stats_svm_key(vcpu, (u16)v->latest, info1, info2);
	if (k.flags && vmx_exits_svm_cpl(vcpu) == 3)
		k.flags |= EXIT_STATS_CAUSE_CPL3;
	exit_stats_caused(v, k.flags, k.key, k.flags ? vmx_exits_linear_rip(vcpu) : 0);
}

/* The vCPU sleeps or polls until it is entered again, or KVM_RUN returns. */
static void vmx_exits_on_block(struct kvm_vcpu *vcpu)
{
	struct exit_stats_vcpu *v;

	preempt_disable();
	v = vmx_exits_of(vcpu);
	if (v && v->phase != EXIT_STATS_NEW) {
		vmx_exits_handled(v);
		exit_stats_event(v, EXIT_STATS_USER_END);
		exit_stats_event(v, EXIT_STATS_BLOCK_BEGIN);
	}
	preempt_enable();
}

static void vmx_exits_on_load(struct kvm_vcpu *vcpu)
{
	struct exit_stats_vcpu *v = vmx_exits_of(vcpu);

	if (v)
		exit_stats_event(v, EXIT_STATS_SCHED_IN);
}

/*
 * The thread is scheduled out, which the scheduler does with interrupts off, or
 * an ioctl of the vCPU ends.  If that is KVM_RUN, it tells by @exit_reason whether
 * the guest is its cause; a signal is not.
 */
static void vmx_exits_on_put(struct kvm_vcpu *vcpu)
{
	struct exit_stats_vcpu *v = vmx_exits_of(vcpu);

	if (!v)
		return;
	if (irqs_disabled()) {
		exit_stats_event(v, EXIT_STATS_SCHED_OUT);
		return;
	}
	vmx_exits_handled(v);
	exit_stats_event(v, EXIT_STATS_BLOCK_END);
	exit_stats_event(v, vcpu->run->exit_reason == KVM_EXIT_INTR ? EXIT_STATS_STOP_BEGIN :
								      EXIT_STATS_USER_BEGIN);
}

enum {
	CPUID, LOAD, PUT, BLOCK, HALT, RUN, DESTROY, NR_HOOKED,
	SVM_INFO = NR_HOOKED, SVM_CPL, LINEAR_RIP, NR_FUNCTIONS
};

/*
 * Functions that are hooked, and those that are called on AMD.  Most of KVM's are
 * not exported to others; kprobes, which are never armed, know them by name.
 */
#define VMX_EXITS_FUNCTION(function) { .symbol_name = (function), .flags = KPROBE_FLAG_DISABLED }

static struct kprobe vmx_exits_functions[] __initdata = {
	[CPUID] = VMX_EXITS_FUNCTION("kvm_cpuid"),
	[LOAD] = VMX_EXITS_FUNCTION("kvm_arch_vcpu_load"),
	[PUT] = VMX_EXITS_FUNCTION("kvm_arch_vcpu_put"),
	[BLOCK] = VMX_EXITS_FUNCTION("kvm_vcpu_block"),
	[HALT] = VMX_EXITS_FUNCTION("kvm_vcpu_halt"),
	[RUN] = VMX_EXITS_FUNCTION("kvm_arch_vcpu_ioctl_run"),
	[DESTROY] = VMX_EXITS_FUNCTION("kvm_arch_destroy_vm"),
	[SVM_INFO] = VMX_EXITS_FUNCTION("svm_get_exit_info"),
	[SVM_CPL] = VMX_EXITS_FUNCTION("svm_get_cpl"),
	[LINEAR_RIP] = VMX_EXITS_FUNCTION("kvm_get_linear_rip"),
};

/* Where each of them goes on after the call that ftrace puts at its beginning. */
unsigned long vmx_exits_goes_on[NR_HOOKED];

/* One of the functions but kvm_cpuid() is called with this first argument. */
void vmx_exits_called(void *argument, unsigned long goes_on)
{
	int i, idx;

	for (i = LOAD; i < NR_HOOKED && vmx_exits_goes_on[i] != goes_on; i++)
		;

	switch (i) {
	case LOAD:
		vmx_exits_on_load(argument);
		break;
	case PUT:
		vmx_exits_on_put(argument);
		break;
	case BLOCK:
	case HALT:
		vmx_exits_on_block(argument);
		break;
	case RUN:
	case DESTROY:
		idx = srcu_read_lock(&vmx_exits_srcu);
		if (i == RUN)
			vmx_exits_before_run(argument);
		else
			vmx_exits_end_vm(argument);
		srcu_read_unlock(&vmx_exits_srcu, idx);
	}
}

/* Returns whether it has answered, which kvm_cpuid() then does not. */
bool vmx_exits_cpuid(struct kvm_vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx,
		     bool exact_only)
{
	bool served;
	int idx;

	if (exact_only)
		return false;

	idx = srcu_read_lock(&vmx_exits_srcu);
	served = vmx_exits_answer(vcpu, eax, ebx, ecx, edx);
	srcu_read_unlock(&vmx_exits_srcu, idx);
	return served;
}

static void vmx_exits_ignore(unsigned long ip, unsigned long parent, struct ftrace_ops *ops,
			     struct ftrace_regs *fregs)
{
}

static struct ftrace_ops vmx_exits_call_ops;

/*
 * Direct calls do not mind whether ftrace is enabled, but are made only if it is.
 * This one is refused if it is not, and then keeps it so.
 */
static struct ftrace_ops vmx_exits_guard_ops = {
	.func = vmx_exits_ignore,
	.flags = FTRACE_OPS_FL_PERMANENT,
};

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
#define register_ftrace_direct(ops, trampoline) register_ftrace_direct_multi(ops, trampoline)
#define unregister_ftrace_direct(ops, trampoline, free_filters) \
	unregister_ftrace_direct_multi(ops, trampoline)
#endif

/* Whether the kernel, or a module, has a function of this name. */
bool __init vmx_exits_has_function(const char *name)
{
	struct kprobe kp = VMX_EXITS_FUNCTION(name);

	if (register_kprobe(&kp))
		return false;
	unregister_kprobe(&kp);
	return true;
}

/* Where a function begins that is called by its address, so that it has kept its ENDBR. */
static void __init *vmx_exits_callable(const struct kprobe *kp)
{
	return (void *)kp->addr - (IS_ENABLED(CONFIG_X86_KERNEL_IBT) ? 4 : 0);
}

static int __init vmx_exits_find_functions(void)
{
	int wanted = vmx_exits_vendor == EXIT_STATS_SVM ? NR_FUNCTIONS : NR_HOOKED;
	struct kprobe *found[NR_FUNCTIONS];
	int i, number;

	for (number = 0; number < wanted; number++) {
		found[number] = &vmx_exits_functions[number];
		if (register_kprobe(found[number]))
			break;
	}
	/* All at once, because it waits for RCU. */
	unregister_kprobes(found, number);
	if (number < wanted) {
		pr_err("this KVM is not known: it has no function %s() that can be hooked\n",
		       found[number]->symbol_name);
		return -EOPNOTSUPP;
	}

	/* An address is behind the function's ENDBR, where ftrace's call is. */
	for (i = 0; i < NR_HOOKED; i++)
		vmx_exits_goes_on[i] = (unsigned long)found[i]->addr + MCOUNT_INSN_SIZE;
	if (wanted > NR_HOOKED) {
		vmx_exits_svm_info = vmx_exits_callable(found[SVM_INFO]);
		vmx_exits_svm_cpl = vmx_exits_callable(found[SVM_CPL]);
		vmx_exits_linear_rip = vmx_exits_callable(found[LINEAR_RIP]);
	}
	return 0;
}

static int vmx_exits_filter(struct ftrace_ops *ops, int function)
{
	return ftrace_set_filter_ip(ops, vmx_exits_goes_on[function] - MCOUNT_INSN_SIZE, 0, 0);
}

static int vmx_exits_hook_calls(void)
{
	int i, r;

	r = vmx_exits_filter(&vmx_exits_guard_ops, DESTROY);
	if (!r)
		r = register_ftrace_function(&vmx_exits_guard_ops);
	if (r) {
		pr_err("ftrace is off (error %d): turn it on by sysctl kernel.ftrace_enabled=1\n", r);
		return r;
	}

	for (i = 0; i < NR_HOOKED && !r; i++)
		r = vmx_exits_filter(&vmx_exits_call_ops, i);
	if (!r)
		r = register_ftrace_direct(&vmx_exits_call_ops,
					   (unsigned long)vmx_exits_trampoline);
	if (!r)
		return 0;

	unregister_ftrace_function(&vmx_exits_guard_ops);
	pr_err("KVM's functions cannot be hooked (error %d): a live patch or a BPF program has %s\n",
	       r, "one of them");
	return r;
}

static void vmx_exits_unhook_calls(void)
{
	unregister_ftrace_direct(&vmx_exits_call_ops, (unsigned long)vmx_exits_trampoline, true);
	unregister_ftrace_function(&vmx_exits_guard_ops);
}

static void *vmx_exits_exit_probe(void)
{
	return vmx_exits_vendor == EXIT_STATS_SVM ? vmx_exits_on_svm_exit : vmx_exits_on_vmx_exit;
}

/*
 * Unhook the calls, once no probe is registered any more.  A vCPU that one of them
 * has asked counters for gets them first: until then a VM that ends must be heard
 * of, and debugfs be there.  Then wait until nothing of this module runs on any
 * CPU: calls that may sleep, then trampolines, which a call that has just ended
 * returns to.
 */
static void vmx_exits_leave(void)
{
	tracepoint_synchronize_unregister();
	vmx_exits_end_wants();
	vmx_exits_unhook_calls();
	synchronize_srcu(&vmx_exits_srcu);
	synchronize_rcu_tasks();
}

/*
 * The exits come last, and go first: an exit that was seen is also seen to have
 * been handled.
 */
int __init vmx_exits_hook(void)
{
	int r;

	if (!vmx_exits_tracepoints[ENTRY] || !vmx_exits_tracepoints[EXIT]) {
		pr_err("KVM is not loaded: load kvm_intel or kvm_amd first\n");
		return -ENODEV;
	}
	r = vmx_exits_find_functions();
	if (r)
		return r;
	r = vmx_exits_hook_calls();
	if (r)
		return r;

	r = tracepoint_probe_register(vmx_exits_tracepoints[ENTRY], vmx_exits_on_entry, NULL);
	if (r)
		goto calls;
	r = tracepoint_probe_register(vmx_exits_tracepoints[EXIT], vmx_exits_exit_probe(), NULL);
	if (!r)
		return 0;

	tracepoint_probe_unregister(vmx_exits_tracepoints[ENTRY], vmx_exits_on_entry, NULL);
calls:
	vmx_exits_leave();
	pr_err("KVM's tracepoints cannot be probed (error %d)\n", r);
	return r;
}

void vmx_exits_unhook(void)
{
	tracepoint_probe_unregister(vmx_exits_tracepoints[EXIT], vmx_exits_exit_probe(), NULL);
	tracepoint_probe_unregister(vmx_exits_tracepoints[ENTRY], vmx_exits_on_entry, NULL);
	vmx_exits_leave();
}
