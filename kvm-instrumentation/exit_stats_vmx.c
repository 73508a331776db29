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

enum { PIN, EXEC, EXEC2, NR_CONTROLS };

struct vmx_exit_controls {
	u32 bits[NR_CONTROLS];
};

static struct vmx_exit_controls vmx_exit_controls(struct vcpu_vmx *vmx)
{
	const struct vmcs_controls_shadow *l1 = &vmx->vmcs01.controls_shadow;
	const struct vmcs_controls_shadow *l2 = &vmx->nested.vmcs02.controls_shadow;
	struct vmx_exit_controls c = {
		.bits[PIN] = l1->pin | l2->pin,
		.bits[EXEC] = l1->exec | l2->exec,
		.bits[EXEC2] = l1->secondary_exec | l2->secondary_exec,
	};
	u32 exec = CPU_BASED_INTR_WINDOW_EXITING | CPU_BASED_MOV_DR_EXITING;
	u32 exec2 = 0;

	/* Without virtual NMIs, KVM waits for an interrupt window instead. */
	if (c.bits[PIN] & PIN_BASED_VIRTUAL_NMIS)
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

	c.bits[EXEC] |= vmcs_config.cpu_based_exec_ctrl & exec;
	c.bits[EXEC2] |= vmcs_config.cpu_based_2nd_exec_ctrl & exec2;
	return c;
}

/* Of each reason that a control causes: one of these bits; all, if it is there twice. */
static const struct {
	u8 reason;
	u8 control;
	u32 bits;
} vmx_exit_causes[] = {
	{ EXIT_REASON_EXTERNAL_INTERRUPT, PIN, PIN_BASED_EXT_INTR_MASK },
	{ EXIT_REASON_PREEMPTION_TIMER, PIN, PIN_BASED_VMX_PREEMPTION_TIMER },
	{ EXIT_REASON_INTERRUPT_WINDOW, EXEC, CPU_BASED_INTR_WINDOW_EXITING },
	{ EXIT_REASON_NMI_WINDOW, EXEC, CPU_BASED_NMI_WINDOW_EXITING },
	{ EXIT_REASON_HLT, EXEC, CPU_BASED_HLT_EXITING },
	{ EXIT_REASON_INVLPG, EXEC, CPU_BASED_INVLPG_EXITING },
	{ EXIT_REASON_RDPMC, EXEC, CPU_BASED_RDPMC_EXITING },
	{ EXIT_REASON_RDTSC, EXEC, CPU_BASED_RDTSC_EXITING },
	{ EXIT_REASON_RDTSCP, EXEC, CPU_BASED_RDTSC_EXITING },
	{ EXIT_REASON_RDTSCP, EXEC2, SECONDARY_EXEC_ENABLE_RDTSCP },
	{ EXIT_REASON_DR_ACCESS, EXEC, CPU_BASED_MOV_DR_EXITING },
	{ EXIT_REASON_MWAIT_INSTRUCTION, EXEC, CPU_BASED_MWAIT_EXITING },
	{ EXIT_REASON_MONITOR_TRAP_FLAG, EXEC, CPU_BASED_MONITOR_TRAP_FLAG },
	{ EXIT_REASON_MONITOR_INSTRUCTION, EXEC, CPU_BASED_MONITOR_EXITING },
	{ EXIT_REASON_TPR_BELOW_THRESHOLD, EXEC, CPU_BASED_TPR_SHADOW },
	{ EXIT_REASON_APIC_ACCESS, EXEC2, SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES },
	{ EXIT_REASON_EOI_INDUCED, EXEC2, SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY },
	{ EXIT_REASON_APIC_WRITE, EXEC2, SECONDARY_EXEC_APIC_REGISTER_VIRT |
					  SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY },
	{ EXIT_REASON_GDTR_IDTR, EXEC2, SECONDARY_EXEC_DESC },
	{ EXIT_REASON_LDTR_TR, EXEC2, SECONDARY_EXEC_DESC },
	{ EXIT_REASON_EPT_VIOLATION, EXEC2, SECONDARY_EXEC_ENABLE_EPT },
	{ EXIT_REASON_EPT_MISCONFIG, EXEC2, SECONDARY_EXEC_ENABLE_EPT },
	{ EXIT_REASON_WBINVD, EXEC2, SECONDARY_EXEC_WBINVD_EXITING },
	{ EXIT_REASON_RDRAND, EXEC2, SECONDARY_EXEC_RDRAND_EXITING },
	{ EXIT_REASON_RDSEED, EXEC2, SECONDARY_EXEC_RDSEED_EXITING },
	{ EXIT_REASON_INVPCID, EXEC, CPU_BASED_INVLPG_EXITING },
	{ EXIT_REASON_INVPCID, EXEC2, SECONDARY_EXEC_ENABLE_INVPCID },
	{ EXIT_REASON_VMFUNC, EXEC2, SECONDARY_EXEC_ENABLE_VMFUNC },
	{ EXIT_REASON_ENCLS, EXEC2, SECONDARY_EXEC_ENCLS_EXITING },
	{ EXIT_REASON_PML_FULL, EXEC2, SECONDARY_EXEC_ENABLE_PML },
	{ EXIT_REASON_XSAVES, EXEC2, SECONDARY_EXEC_ENABLE_XSAVES },
	{ EXIT_REASON_XRSTORS, EXEC2, SECONDARY_EXEC_ENABLE_XSAVES },
	{ EXIT_REASON_UMWAIT, EXEC, CPU_BASED_RDTSC_EXITING },
	{ EXIT_REASON_UMWAIT, EXEC2, SECONDARY_EXEC_ENABLE_USR_WAIT_PAUSE },
	{ EXIT_REASON_TPAUSE, EXEC, CPU_BASED_RDTSC_EXITING },
	{ EXIT_REASON_TPAUSE, EXEC2, SECONDARY_EXEC_ENABLE_USR_WAIT_PAUSE },
	{ EXIT_REASON_BUS_LOCK, EXEC2, SECONDARY_EXEC_BUS_LOCK_DETECTION },
	{ EXIT_REASON_NOTIFY, EXEC2, SECONDARY_EXEC_NOTIFY_VM_EXITING },
};

static bool vmx_exit_reason_enabled(const struct vmx_exit_controls *c, u32 reason)
{
	int i;

	if (reason == EXIT_REASON_PAUSE_INSTRUCTION)
		return (c->bits[EXEC] & CPU_BASED_PAUSE_EXITING) ||
		       (c->bits[EXEC2] & SECONDARY_EXEC_PAUSE_LOOP_EXITING);

	for (i = 0; i < ARRAY_SIZE(vmx_exit_causes); i++) {
		if (vmx_exit_causes[i].reason == reason &&
		    !(c->bits[vmx_exit_causes[i].control] & vmx_exit_causes[i].bits))
			return false;
	}
	return true;
}

/* Set the bits of the reasons that this VM can see; on the vCPU's own thread. */
void vmx_exit_reasons_enabled(struct kvm_vcpu *vcpu, u64 *enabled)
{
	struct vmx_exit_controls c = vmx_exit_controls(to_vmx(vcpu));
	u32 reason;

	for (reason = 0; reason < 64 * 2; reason++) {
		if (vmx_has_exit_handler(reason) && vmx_exit_reason_enabled(&c, reason))
			enabled[reason / 64] |= BIT_ULL(reason % 64);
	}
}
