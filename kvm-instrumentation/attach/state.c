// SPDX-License-Identifier: GPL-2.0
/*
 * vmx_exits: which exit reasons are enabled in a VM, by the controls in its VMCS.
 *
 * A reason is enabled if KVM has a handler for it and the control that causes
 * such exits is on.  Controls that KVM switches while the VM runs are taken as on
 * if the CPU has them, so that a counter does not come and go with them.  Whether
 * KVM may use them at all, and what a nested hypervisor asked for its own guest,
 * only KVM knows.
 */
#include <linux/kernel.h>
#include <linux/preempt.h>

#include <asm/msr.h>
#include <asm/vmx.h>

/* Its name until 6.7. */
#ifndef SECONDARY_EXEC_ENABLE_XSAVES
#define SECONDARY_EXEC_ENABLE_XSAVES SECONDARY_EXEC_XSAVES
#endif

#include "../exit_stats_controls.h"
#include "vmx_exits.h"

/* Basic exit reasons that kvm_intel has a handler for, in each kernel that is known. */
static const u8 vmx_exits_handlers[] = {
	EXIT_REASON_EXCEPTION_NMI, EXIT_REASON_EXTERNAL_INTERRUPT, EXIT_REASON_TRIPLE_FAULT,
	EXIT_REASON_INTERRUPT_WINDOW, EXIT_REASON_NMI_WINDOW, EXIT_REASON_TASK_SWITCH,
	EXIT_REASON_CPUID, EXIT_REASON_HLT, EXIT_REASON_INVD, EXIT_REASON_INVLPG,
	EXIT_REASON_RDPMC, EXIT_REASON_VMCALL, EXIT_REASON_VMCLEAR, EXIT_REASON_VMLAUNCH,
	EXIT_REASON_VMPTRLD, EXIT_REASON_VMPTRST, EXIT_REASON_VMREAD, EXIT_REASON_VMRESUME,
	EXIT_REASON_VMWRITE, EXIT_REASON_VMOFF, EXIT_REASON_VMON, EXIT_REASON_CR_ACCESS,
	EXIT_REASON_DR_ACCESS, EXIT_REASON_IO_INSTRUCTION, EXIT_REASON_MSR_READ,
	EXIT_REASON_MSR_WRITE, EXIT_REASON_MWAIT_INSTRUCTION, EXIT_REASON_MONITOR_TRAP_FLAG,
	EXIT_REASON_MONITOR_INSTRUCTION, EXIT_REASON_PAUSE_INSTRUCTION,
	EXIT_REASON_MCE_DURING_VMENTRY, EXIT_REASON_TPR_BELOW_THRESHOLD, EXIT_REASON_APIC_ACCESS,
	EXIT_REASON_EOI_INDUCED, EXIT_REASON_GDTR_IDTR, EXIT_REASON_LDTR_TR,
	EXIT_REASON_EPT_VIOLATION, EXIT_REASON_EPT_MISCONFIG, EXIT_REASON_INVEPT,
	EXIT_REASON_PREEMPTION_TIMER, EXIT_REASON_INVVPID, EXIT_REASON_WBINVD,
	EXIT_REASON_XSETBV, EXIT_REASON_APIC_WRITE, EXIT_REASON_RDRAND, EXIT_REASON_INVPCID,
	EXIT_REASON_VMFUNC, EXIT_REASON_ENCLS, EXIT_REASON_RDSEED, EXIT_REASON_PML_FULL,
	EXIT_REASON_BUS_LOCK, EXIT_REASON_NOTIFY,
#ifdef EXIT_REASON_MSR_READ_IMM
	EXIT_REASON_MSR_READ_IMM, EXIT_REASON_MSR_WRITE_IMM,
#endif
};

static u32 vmx_exits_vmcs(unsigned long field)
{
	unsigned long value = 0;

	asm volatile("vmread %1, %0" : "+r"(value) : "r"(field) : "cc");
	return value;
}

/* Those of @bits that a control's capability MSR allows to be 1. */
static u32 vmx_exits_allowed(u32 msr, u32 bits)
{
	u32 low, high;

	return rdmsr_safe(msr, &low, &high) ? 0 : bits & high;
}

/* Set the bits of the reasons that can occur, on the thread of a vCPU of the VM. */
void vmx_exits_state(u64 *enabled)
{
	struct vmx_exit_controls c = {};
	u32 window = CPU_BASED_INTR_WINDOW_EXITING | CPU_BASED_MOV_DR_EXITING;
	u32 slot;
	int i;

	if (vmx_exits_vendor != EXIT_STATS_VMX)
		return;

	/* The vCPU's VMCS is the current one of the CPU that it is loaded on. */
	preempt_disable();
	c.bits[PIN] = vmx_exits_vmcs(PIN_BASED_VM_EXEC_CONTROL);
	c.bits[EXEC] = vmx_exits_vmcs(CPU_BASED_VM_EXEC_CONTROL);
	if (c.bits[EXEC] & CPU_BASED_ACTIVATE_SECONDARY_CONTROLS)
		c.bits[EXEC2] = vmx_exits_vmcs(SECONDARY_VM_EXEC_CONTROL);
	preempt_enable();

	/* Without virtual NMIs, KVM waits for an interrupt window instead. */
	if (c.bits[PIN] & PIN_BASED_VIRTUAL_NMIS)
		window |= CPU_BASED_NMI_WINDOW_EXITING;
	c.bits[EXEC] |= vmx_exits_allowed(MSR_IA32_VMX_PROCBASED_CTLS, window);

	for (i = 0; i < ARRAY_SIZE(vmx_exits_handlers); i++) {
		slot = exit_stats_slot(vmx_exits_handlers[i]);
		if (vmx_exit_reason_enabled(&c, vmx_exits_handlers[i]))
			enabled[slot / 64] |= BIT_ULL(slot % 64);
	}
}
