/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Counts and times of VM exits: what an exit was about, besides its reason.
 *
 * Of the guest only: its registers, its addresses, and what it accessed.  Exits
 * that the guest's code did not make (an interrupt of the host, a timer) tell no
 * instruction, and nothing of the host.
 */
#ifndef __KVM_X86_EXIT_STATS_KEYS_H
#define __KVM_X86_EXIT_STATS_KEYS_H

#include <linux/bits.h>
#include <linux/kvm_host.h>

#include <asm/svm.h>
#include <asm/vmx.h>

/* Reasons that not all kernels have a name for. */
#define EXIT_STATS_RDMSR_IMM 84
#define EXIT_STATS_WRMSR_IMM 85

#define EXIT_STATS_KEY(key) ((struct exit_stats_key) { EXIT_STATS_CAUSE_HAS_KEY | \
						       EXIT_STATS_CAUSE_HAS_RIP, (key) })
#define EXIT_STATS_NO_KEY ((struct exit_stats_key) { EXIT_STATS_CAUSE_HAS_RIP })
#define EXIT_STATS_NOT_THE_GUEST ((struct exit_stats_key) { 0 })

struct exit_stats_key {
	u64 flags;
	u64 key;
};

static __always_inline u64 exit_stats_register(struct kvm_vcpu *vcpu, int reg)
{
	return vcpu->arch.regs[reg];
}

static __always_inline struct exit_stats_key exit_stats_cpuid_key(struct kvm_vcpu *vcpu)
{
	u32 leaf = exit_stats_register(vcpu, VCPU_REGS_RAX);
	u64 subleaf = exit_stats_register(vcpu, VCPU_REGS_RCX);

	/* Each figure of ours has a subleaf: who reads them would fill the table with that. */
	if (leaf >= EXIT_STATS_FIRST_LEAF && leaf <= EXIT_STATS_LAST_LEAF)
		subleaf = 0;
	return EXIT_STATS_KEY(leaf | subleaf << 32);
}

static __always_inline struct exit_stats_key exit_stats_io_key(u32 port, u32 size, bool in,
							       bool string)
{
	return EXIT_STATS_KEY(port | size << 16 | (u32)in << 24 | (u32)string << 25);
}

/* Read the current VMCS; what includes this says how, if it uses what follows. */
#ifdef exit_stats_vmread32

static __always_inline struct exit_stats_key exit_stats_vmx_key(struct kvm_vcpu *vcpu, u32 reason)
{
	u64 qual;
	u32 info;

	switch (reason) {
	case EXIT_REASON_CPUID:
		return exit_stats_cpuid_key(vcpu);
	case EXIT_REASON_MSR_READ:
	case EXIT_REASON_MSR_WRITE:
		return EXIT_STATS_KEY((u32)exit_stats_register(vcpu, VCPU_REGS_RCX));
	case EXIT_REASON_IO_INSTRUCTION:
		qual = exit_stats_vmreadl(EXIT_QUALIFICATION);
		return exit_stats_io_key(qual >> 16, (qual & 7) + 1, qual & BIT(3), qual & BIT(4));
	case EXIT_REASON_EPT_VIOLATION:
		qual = exit_stats_vmreadl(EXIT_QUALIFICATION);
		return EXIT_STATS_KEY((exit_stats_vmread64(GUEST_PHYSICAL_ADDRESS) & PAGE_MASK) |
				      (qual & 7));
	case EXIT_REASON_EPT_MISCONFIG:
		return EXIT_STATS_KEY(exit_stats_vmread64(GUEST_PHYSICAL_ADDRESS));
	case EXIT_REASON_APIC_ACCESS:
		return EXIT_STATS_KEY((vcpu->arch.apic_base & PAGE_MASK) |
				      (exit_stats_vmreadl(EXIT_QUALIFICATION) & ~PAGE_MASK));
	case EXIT_REASON_APIC_WRITE:
		return EXIT_STATS_KEY(exit_stats_vmreadl(EXIT_QUALIFICATION) & ~PAGE_MASK);
	case EXIT_REASON_EOI_INDUCED:
		return EXIT_STATS_KEY((u8)exit_stats_vmreadl(EXIT_QUALIFICATION));
	case EXIT_REASON_VMCALL:
		return EXIT_STATS_KEY(exit_stats_register(vcpu, VCPU_REGS_RAX));
	case EXIT_REASON_CR_ACCESS:
		qual = exit_stats_vmreadl(EXIT_QUALIFICATION);
		return EXIT_STATS_KEY((qual & 15) | (qual & 0x30) << 4);
	case EXIT_REASON_DR_ACCESS:
		qual = exit_stats_vmreadl(EXIT_QUALIFICATION);
		return EXIT_STATS_KEY((qual & 7) | (qual & BIT(4)) << 4);
	case EXIT_REASON_EXCEPTION_NMI:
		info = exit_stats_vmread32(VM_EXIT_INTR_INFO);
		if ((info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_NMI_INTR)
			return EXIT_STATS_NOT_THE_GUEST;
		return EXIT_STATS_KEY(info & INTR_INFO_VECTOR_MASK);
	case EXIT_STATS_RDMSR_IMM:
	case EXIT_STATS_WRMSR_IMM:
		return EXIT_STATS_KEY((u32)exit_stats_vmreadl(EXIT_QUALIFICATION));
	case EXIT_REASON_EXTERNAL_INTERRUPT:
	case EXIT_REASON_INIT_SIGNAL ... EXIT_REASON_NMI_WINDOW:
	case EXIT_REASON_INVALID_STATE:
	case EXIT_REASON_MSR_LOAD_FAIL:
	case EXIT_REASON_MCE_DURING_VMENTRY:
	case EXIT_REASON_PREEMPTION_TIMER:
		return EXIT_STATS_NOT_THE_GUEST;
	default:
		return EXIT_STATS_NO_KEY;
	}
}

/*
 * In 64-bit mode the base of CS does not count, and the privilege level is that
 * of CS unless it is conforming.
 */
static __always_inline void exit_stats_vmx_caused(struct kvm_vcpu *vcpu, struct exit_stats_vcpu *v)
{
	struct exit_stats_key k = exit_stats_vmx_key(vcpu, (u16)v->latest);
	const u32 conforming = BIT(2);
	u64 rip = 0;
	u32 ar;

	if (likely(k.flags)) {
		rip = exit_stats_vmreadl(GUEST_RIP);
		ar = exit_stats_vmread32(GUEST_CS_AR_BYTES);
		if (unlikely(!(ar & VMX_AR_L_MASK)))
			rip = (u32)(rip + exit_stats_vmreadl(GUEST_CS_BASE));
		if (unlikely((ar & (VMX_AR_L_MASK | conforming)) != VMX_AR_L_MASK))
			ar = vcpu->arch.cr0 & X86_CR0_PE ?
			     exit_stats_vmread32(GUEST_SS_AR_BYTES) : 0;
		if (VMX_AR_DPL(ar) == 3)
			k.flags |= EXIT_STATS_CAUSE_CPL3;
	}
	exit_stats_caused(v, k.flags, k.key, rip);
}

#endif /* exit_stats_vmread32 */

/* @info1 and @info2 are EXITINFO1 and EXITINFO2 of the VMCB. */
static __always_inline struct exit_stats_key exit_stats_svm_key(struct kvm_vcpu *vcpu, u32 code,
								u64 info1, u64 info2)
{
	if (vcpu->arch.guest_state_protected)
		return EXIT_STATS_NOT_THE_GUEST;

	switch (code) {
	case SVM_EXIT_CPUID:
		return exit_stats_cpuid_key(vcpu);
	case SVM_EXIT_MSR:
		/* One code for both: bit 32 tells a write. */
		return EXIT_STATS_KEY((u32)exit_stats_register(vcpu, VCPU_REGS_RCX) |
				      (info1 & 1) << 32);
	case SVM_EXIT_IOIO:
		return exit_stats_io_key((u16)(info1 >> 16), (info1 >> 4) & 7, info1 & BIT(0),
					 info1 & BIT(2));
	case SVM_EXIT_NPF:
		/* The error code of a page fault; what is neither written nor fetched is read. */
		return EXIT_STATS_KEY((info2 & PAGE_MASK) | (info1 & PFERR_WRITE_MASK ? BIT(1) :
				      info1 & PFERR_FETCH_MASK ? BIT(2) : BIT(0)));
	case SVM_EXIT_AVIC_UNACCELERATED_ACCESS:
		return EXIT_STATS_KEY(info1 & 0xff0);
	case SVM_EXIT_VMMCALL:
		return EXIT_STATS_KEY(exit_stats_register(vcpu, VCPU_REGS_RAX));
	case SVM_EXIT_READ_CR0 ... SVM_EXIT_READ_CR0 + 15:
	case SVM_EXIT_READ_DR0 ... SVM_EXIT_READ_DR0 + 15:
		return EXIT_STATS_KEY((code & 15) | BIT(8));
	case SVM_EXIT_WRITE_CR0 ... SVM_EXIT_WRITE_CR0 + 15:
	case SVM_EXIT_WRITE_DR0 ... SVM_EXIT_WRITE_DR0 + 15:
		return EXIT_STATS_KEY(code & 15);
	case SVM_EXIT_CR0_SEL_WRITE:
		return EXIT_STATS_KEY(0);
	case SVM_EXIT_EXCP_BASE ... SVM_EXIT_EXCP_BASE + 31:
		return EXIT_STATS_KEY(code - SVM_EXIT_EXCP_BASE);
	case SVM_EXIT_INTR ... SVM_EXIT_VINTR:
	case EXIT_STATS_SVM_BUSY ... EXIT_STATS_SVM_INVALID:
		return EXIT_STATS_NOT_THE_GUEST;
	default:
		return EXIT_STATS_NO_KEY;
	}
}

#endif /* __KVM_X86_EXIT_STATS_KEYS_H */
