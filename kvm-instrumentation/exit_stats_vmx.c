// SPDX-License-Identifier: GPL-2.0
/*
 * Counts and times of VM exits: which exit reasons KVM has enabled in a VM.
 *
 * A reason is enabled if KVM has a handler for it and the control that causes
 * such exits is on.  Controls that KVM switches by itself while the VM runs
 * (an interrupt window, say) are taken as on if KVM may use them at all, so
 * that a counter does not come and go with them; what a nested hypervisor
 * asked for its own guest is on, too.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>

#include <asm/vmx.h>

#include "exit_stats_hooks.h"
#include "vmx/capabilities.h"
#include "vmx/nested.h"
#include "vmx/vmx.h"
#include "vmx/x86_ops.h"

struct vmx_exit_controls {
	u32 pin;
	u32 exec;
	u32 exec2;
};

static struct vmx_exit_controls vmx_exit_controls(struct vcpu_vmx *vmx)
{
	const struct vmcs_controls_shadow *l1 = &vmx->vmcs01.controls_shadow;
	const struct vmcs_controls_shadow *l2 = &vmx->nested.vmcs02.controls_shadow;
	struct vmx_exit_controls c = {
		.pin = l1->pin | l2->pin,
		.exec = l1->exec | l2->exec,
		.exec2 = l1->secondary_exec | l2->secondary_exec,
	};
	u32 exec = CPU_BASED_INTR_WINDOW_EXITING | CPU_BASED_MOV_DR_EXITING;
	u32 exec2 = 0;

	/* Without virtual NMIs, KVM waits for an interrupt window instead. */
	if (c.pin & PIN_BASED_VIRTUAL_NMIS)
		exec |= CPU_BASED_NMI_WINDOW_EXITING;

	if (lapic_in_kernel(&vmx->vcpu)) {
		if (flexpriority_enabled)
			exec2 |= SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES;
		if (enable_apicv)
			exec2 |= SECONDARY_EXEC_APIC_REGISTER_VIRT |
				 SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY;
	}
	if (vmx_umip_emulated())
		exec2 |= SECONDARY_EXEC_DESC;
	if (enable_pml)
		exec2 |= SECONDARY_EXEC_ENABLE_PML;

	c.exec |= vmcs_config.cpu_based_exec_ctrl & exec;
	c.exec2 |= vmcs_config.cpu_based_2nd_exec_ctrl & exec2;
	return c;
}

static bool vmx_exit_reason_enabled(const struct vmx_exit_controls *c, u32 reason)
{
	switch (reason) {
	case EXIT_REASON_EXTERNAL_INTERRUPT:
		return c->pin & PIN_BASED_EXT_INTR_MASK;
	case EXIT_REASON_PREEMPTION_TIMER:
		return c->pin & PIN_BASED_VMX_PREEMPTION_TIMER;
	case EXIT_REASON_INTERRUPT_WINDOW:
		return c->exec & CPU_BASED_INTR_WINDOW_EXITING;
	case EXIT_REASON_NMI_WINDOW:
		return c->exec & CPU_BASED_NMI_WINDOW_EXITING;
	case EXIT_REASON_HLT:
		return c->exec & CPU_BASED_HLT_EXITING;
	case EXIT_REASON_INVLPG:
		return c->exec & CPU_BASED_INVLPG_EXITING;
	case EXIT_REASON_RDPMC:
		return c->exec & CPU_BASED_RDPMC_EXITING;
	case EXIT_REASON_RDTSC:
		return c->exec & CPU_BASED_RDTSC_EXITING;
	case EXIT_REASON_RDTSCP:
		return (c->exec & CPU_BASED_RDTSC_EXITING) &&
		       (c->exec2 & SECONDARY_EXEC_ENABLE_RDTSCP);
	case EXIT_REASON_DR_ACCESS:
		return c->exec & CPU_BASED_MOV_DR_EXITING;
	case EXIT_REASON_MWAIT_INSTRUCTION:
		return c->exec & CPU_BASED_MWAIT_EXITING;
	case EXIT_REASON_MONITOR_TRAP_FLAG:
		return c->exec & CPU_BASED_MONITOR_TRAP_FLAG;
	case EXIT_REASON_MONITOR_INSTRUCTION:
		return c->exec & CPU_BASED_MONITOR_EXITING;
	case EXIT_REASON_PAUSE_INSTRUCTION:
		return (c->exec & CPU_BASED_PAUSE_EXITING) ||
		       (c->exec2 & SECONDARY_EXEC_PAUSE_LOOP_EXITING);
	case EXIT_REASON_TPR_BELOW_THRESHOLD:
		return c->exec & CPU_BASED_TPR_SHADOW;
	case EXIT_REASON_APIC_ACCESS:
		return c->exec2 & SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES;
	case EXIT_REASON_EOI_INDUCED:
		return c->exec2 & SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY;
	case EXIT_REASON_APIC_WRITE:
		return c->exec2 & (SECONDARY_EXEC_APIC_REGISTER_VIRT |
				   SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY);
	case EXIT_REASON_GDTR_IDTR:
	case EXIT_REASON_LDTR_TR:
		return c->exec2 & SECONDARY_EXEC_DESC;
	case EXIT_REASON_EPT_VIOLATION:
	case EXIT_REASON_EPT_MISCONFIG:
		return c->exec2 & SECONDARY_EXEC_ENABLE_EPT;
	case EXIT_REASON_WBINVD:
		return c->exec2 & SECONDARY_EXEC_WBINVD_EXITING;
	case EXIT_REASON_RDRAND:
		return c->exec2 & SECONDARY_EXEC_RDRAND_EXITING;
	case EXIT_REASON_RDSEED:
		return c->exec2 & SECONDARY_EXEC_RDSEED_EXITING;
	case EXIT_REASON_INVPCID:
		return (c->exec & CPU_BASED_INVLPG_EXITING) &&
		       (c->exec2 & SECONDARY_EXEC_ENABLE_INVPCID);
	case EXIT_REASON_VMFUNC:
		return c->exec2 & SECONDARY_EXEC_ENABLE_VMFUNC;
	case EXIT_REASON_ENCLS:
		return c->exec2 & SECONDARY_EXEC_ENCLS_EXITING;
	case EXIT_REASON_PML_FULL:
		return c->exec2 & SECONDARY_EXEC_ENABLE_PML;
	case EXIT_REASON_XSAVES:
	case EXIT_REASON_XRSTORS:
		return c->exec2 & SECONDARY_EXEC_ENABLE_XSAVES;
	case EXIT_REASON_UMWAIT:
	case EXIT_REASON_TPAUSE:
		return (c->exec & CPU_BASED_RDTSC_EXITING) &&
		       (c->exec2 & SECONDARY_EXEC_ENABLE_USR_WAIT_PAUSE);
	case EXIT_REASON_BUS_LOCK:
		return c->exec2 & SECONDARY_EXEC_BUS_LOCK_DETECTION;
	case EXIT_REASON_NOTIFY:
		return c->exec2 & SECONDARY_EXEC_NOTIFY_VM_EXITING;
	default:
		/* Not subject to a control. */
		return true;
	}
}

/**
 * vmx_exit_reasons_enabled() - which exit reasons this VM can see
 * @vcpu:	the vCPU, on its own thread
 * @enabled:	written: a bit map of EXIT_STATS_REASONS bits
 *
 * Return: true, for this vCPU's exits are recorded.
 */
bool vmx_exit_reasons_enabled(struct kvm_vcpu *vcpu, u64 *enabled)
{
	struct vmx_exit_controls c = vmx_exit_controls(to_vmx(vcpu));
	u32 reason;

	enabled[0] = 0;
	enabled[1] = 0;
	for (reason = 0; reason < EXIT_STATS_REASONS; reason++) {
		if (vmx_has_exit_handler(reason) && vmx_exit_reason_enabled(&c, reason))
			enabled[reason / 64] |= BIT_ULL(reason % 64);
	}
	return true;
}
