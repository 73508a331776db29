// SPDX-License-Identifier: GPL-2.0
/*
 * Loaded in the nested guest: executes each instruction that exits, `rounds`
 * times, from ring 0, and refuses to stay loaded (insmod fails with EAGAIN).
 * Which of them really exit depends on how KVM runs the guest; the tests
 * compare counters with counters, so no number is expected here.
 */
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/fpu/xcr.h>
#include <asm/msr-index.h>
#include <asm/processor.h>
#include <asm/special_insns.h>

static int rounds = 100;
module_param(rounds, int, 0444);
MODULE_PARM_DESC(rounds, "How often each instruction is executed");

/* The I/O APIC's registers: emulated by KVM, so each access is an EPT misconfiguration. */
#define IOAPIC_BASE 0xfec00000UL
/* A port that nothing answers, so each access goes to userspace. */
#define UNUSED_PORT 0x80

static void provoke_control_registers(void)
{
	unsigned long flags, cr0;

	/* CR0.AM is the host's to decide, and without meaning in ring 0. */
	local_irq_save(flags);
	cr0 = read_cr0();
	asm volatile("mov %0, %%cr0" : : "r" (cr0 ^ X86_CR0_AM) : "memory");
	asm volatile("mov %0, %%cr0" : : "r" (cr0) : "memory");
	local_irq_restore(flags);
	asm volatile("mov %%cr3, %0; mov %0, %%cr3" : "=&r" (cr0) : : "memory");
}

static void provoke_debug_registers(void)
{
	unsigned long dr7;

	asm volatile("mov %%db7, %0" : "=r" (dr7));
	asm volatile("mov %0, %%db7" : : "r" (dr7));
}

static void provoke_msrs(void)
{
	u32 low, high;

	/* KVM emulates this MSR, and no guest owns it. */
	asm volatile("rdmsr" : "=a" (low), "=d" (high) : "c" (MSR_IA32_MISC_ENABLE));
	asm volatile("wrmsr" : : "a" (low), "d" (high), "c" (MSR_IA32_MISC_ENABLE));
}

static void provoke_invalidations(void *page)
{
	asm volatile("invlpg (%0)" : : "r" (page) : "memory");
	if (boot_cpu_has(X86_FEATURE_INVPCID)) {
		u64 all[2] = {};

		asm volatile("invpcid %0, %1" : : "m" (all), "r" (2UL) : "memory");
	}
}

static void provoke_pause(void)
{
	int i;

	/* More than KVM's PAUSE-loop window, at a stretch. */
	for (i = 0; i < 5000; i++)
		asm volatile("pause");
}

static int __init provoke_init(void)
{
	u32 eax, ebx, ecx, edx;
	void __iomem *ioapic;
	void *page;
	int i;

	page = (void *)__get_free_page(GFP_KERNEL);
	ioapic = ioremap(IOAPIC_BASE, PAGE_SIZE);
	if (!page || !ioapic) {
		pr_err("provoke: no memory\n");
		free_page((unsigned long)page);
		return -ENOMEM;
	}

	for (i = 0; i < rounds; i++) {
		asm volatile("cpuid" : "=a" (eax), "=b" (ebx), "=c" (ecx), "=d" (edx)
			     : "a" (0), "c" (0));
		provoke_msrs();
		provoke_control_registers();
		provoke_debug_registers();
		provoke_invalidations(page);
		outb(0, UNUSED_PORT);
		readl(ioapic);
		asm volatile("wbinvd" : : : "memory");
		if (boot_cpu_has(X86_FEATURE_OSXSAVE))
			xsetbv(XCR_XFEATURE_ENABLED_MASK, xgetbv(XCR_XFEATURE_ENABLED_MASK));
		if (i % 10 == 0) {
			provoke_pause();
			/* Sleeps (HLT), and busy waits that a timer's expiry ends. */
			usleep_range(2000, 3000);
			mdelay(12);
		}
	}

	iounmap(ioapic);
	free_page((unsigned long)page);
	return -EAGAIN;
}
module_init(provoke_init);

MODULE_DESCRIPTION("Provokes VM exits of each kind");
MODULE_LICENSE("GPL");
