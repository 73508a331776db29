// SPDX-License-Identifier: GPL-2.0
/*
 * Counts and times of VM exits: which exit reasons KVM has enabled in a VM.
 *
 * A reason is enabled if KVM has a handler for it and the control that causes
 * such exits is on.  Controls that KVM switches by itself while the VM runs
 * (an interrupt window, say) are taken as on if KVM may use them at all, so
 * that a counter does not come and go with them; what a nested hypervisor
 * asked for its own guest is on, too.  And what made an exit, from the VMCS.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>

#include "exit_stats_controls.h"
#include "exit_stats_hooks.h"
#include "vmx/capabilities.h"
#include "vmx/nested.h"
#include "vmx/vmx.h"
#include "vmx/vmx_ops.h"
#include "vmx/x86_ops.h"

#define exit_stats_vmreadl vmcs_readl
#define exit_stats_vmread32 vmcs_read32
#define exit_stats_vmread64 vmcs_read64
#include "exit_stats_keys.h"

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

void vmx_exit_stats_caused(struct kvm_vcpu *vcpu)
{
	exit_stats_vmx_caused(vcpu, &vcpu->exit_stats);
}
