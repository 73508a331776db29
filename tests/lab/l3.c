// SPDX-License-Identifier: GPL-2.0
/*
 * A VMM of one vCPU, for a guest of a few bytes: static, so that it runs in
 * L1, and in L2 (whose guest is then L3).  What its guest does is known to the
 * instruction, and it can hand KVM a state in which no guest can be entered.
 *
 * Usage: l3 MODE ROUNDS [COMMAND]
 *
 *   work      the guest executes CPUID and OUT ROUNDS times each, then HLT
 *   segment   the same behind a TR that is no TSS: KVM has to emulate it, or, if
 *             it does not look at segments, fails to enter by guest state
 *   state     ROUNDS entries that fail by guest state (reserved bits in RFLAGS)
 *   control   ROUNDS entries that fail by a control: an exception with an error
 *             code that has none, which VMLAUNCH refuses without a VM exit
 *   cpuid     the guest asks for the leaves of the exit statistics, and for two
 *             that are there in any case, ROUNDS times, and each answer is
 *             printed; cpuid-intel and cpuid-amd tell it that vendor first,
 *             cpuid-emulated has KVM's emulator execute the instruction (if kvm has
 *             force_emulation_prefix=1), and in cpuid-faulting it faults, at CPL 3
 *
 * COMMAND is run by the shell at the end, while the VM is still there, with the
 * VM's folder below debugfs' kvm/ in $VM.  What KVM_RUN returned is printed
 * as "REASON DETAIL TIMES", and at the end each linear histogram of KVM's
 * binary statistics as "stats NAME BUCKET:VALUE..."; values of 0 are left out.
 */
#include "vmm.h"

/* Runs alike in 16-bit real mode and in 32-bit protected mode. */
static const uint8_t guest_code[] = {
	0x89, 0xf1,		/* again: mov %esi, %ecx (or %si, %cx) */
	0x31, 0xc0,		/* xor %eax, %eax */
	0x0f, 0xa2,		/* cpuid */
	0xe6, PORT,		/* out %al, $PORT */
	0x4e,			/* dec %esi */
	0x75, 0xf5,		/* jnz again */
	0xf4,			/* hlt */
};

static const uint8_t cpuid_code[] = { 0x0f, 0xa2, 0xf4 };	/* cpuid; hlt */

/* The same behind KVM's prefix for what its emulator is to execute: ud2; .ascii "kvm" */
static const uint8_t emulated_code[] = {
	0x0f, 0x0b, 'k', 'v', 'm', 0x0f, 0xa2, 0xf4,
};

static const uint32_t leaves[] = {
	0, 1, 0x4ffffff9, 0x4ffffffa, 0x4ffffffb, 0x4ffffffc, 0x4ffffffd, 0x4ffffffe, 0x4fffffff,
	0x50000000,
};

static const uint32_t subleaves[] = { 0, 1, 10, 30, 35, 69, 444, 0xffff, 0x7fffffff, 0xffffffff };

static int vcpu;

static void set_state(const char *mode, unsigned long rounds)
{
	struct kvm_regs regs = { .rip = GUEST_AT, .rsi = rounds, .rflags = 2 };
	struct kvm_vcpu_events events;
	struct kvm_sregs sregs;

	call(vcpu, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
	if (strcmp(mode, "work")) {
		protected_mode(&sregs);
	} else {
		sregs.cs.base = 0;
		sregs.cs.selector = 0;
	}
	/* A busy TSS is a must.  KVM may set bit 0, but 1 is no busy one either. */
	if (!strcmp(mode, "segment"))
		sregs.tr.type = 0;
	call(vcpu, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS");

	if (!strcmp(mode, "state"))
		regs.rflags |= 1UL << 63;
	call(vcpu, KVM_SET_REGS, &regs, "KVM_SET_REGS");

	if (!strcmp(mode, "control")) {
		call(vcpu, KVM_GET_VCPU_EVENTS, &events, "KVM_GET_VCPU_EVENTS");
		events.exception.injected = 1;
		events.exception.nr = 6;	/* #UD has no error code. */
		events.exception.has_error_code = 1;
		events.exception.error_code = 0;
		call(vcpu, KVM_SET_VCPU_EVENTS, &events, "KVM_SET_VCPU_EVENTS");
	}
}

/* What KVM supports, but of the vendor that is wanted, if one is. */
static void set_cpuid(int kvm, const char *vendor)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[256];
	} cpuid = { .head.nent = 256 };
	struct kvm_cpuid_entry2 *entry;
	uint32_t i;

	call(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid, "KVM_GET_SUPPORTED_CPUID");
	for (i = 0; i < cpuid.head.nent; i++) {
		entry = &cpuid.entries[i];
		if (entry->function & 0x7fffffff || !vendor)
			continue;
		memcpy(&entry->ebx, vendor, 4);
		memcpy(&entry->edx, vendor + 4, 4);
		memcpy(&entry->ecx, vendor + 8, 4);
	}
	call(vcpu, KVM_SET_CPUID2, &cpuid, "KVM_SET_CPUID2");
}

/*
 * From CPL 3 CPUID raises #GP (MSR_MISC_FEATURES_ENABLES).  There is no IDT, so that
 * KVM_RUN returns with a shutdown and the registers as they were.
 */
static void set_cpuid_faulting(void)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msrs = { .head.nmsrs = 1, .entry = { .index = 0x140, .data = 1 } };
	struct kvm_sregs sregs;

	call(vcpu, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
	protected_mode(&sregs);
	sregs.cs.selector |= 3;
	sregs.cs.dpl = 3;
	sregs.ds.selector |= 3;
	sregs.ds.dpl = 3;
	sregs.es = sregs.fs = sregs.gs = sregs.ss = sregs.ds;
	sregs.idt.limit = 0;
	call(vcpu, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS");
	if (call(vcpu, KVM_SET_MSRS, &msrs, "KVM_SET_MSRS") != 1)
		errx(70, "CPUID faulting cannot be turned on");
}

static void ask(uint32_t leaf, uint32_t subleaf)
{
	/* All ones, so that a register that is left alone shows. */
	struct kvm_regs regs = {
		.rip = GUEST_AT, .rflags = 2, .rax = leaf, .rcx = subleaf,
		.rbx = 0xffffffff, .rdx = 0xffffffff,
	};

	call(vcpu, KVM_SET_REGS, &regs, "KVM_SET_REGS");
	call(vcpu, KVM_RUN, NULL, "KVM_RUN");
	call(vcpu, KVM_GET_REGS, &regs, "KVM_GET_REGS");
	printf("0x%x 0x%x: 0x%llx 0x%llx 0x%llx 0x%llx\n", leaf, subleaf,
	       regs.rax, regs.rbx, regs.rcx, regs.rdx);
}

static void ask_all(void)
{
	unsigned int i, j;

	for (i = 0; i < sizeof(leaves) / sizeof(*leaves); i++)
		for (j = 0; j < sizeof(subleaves) / sizeof(*subleaves); j++)
			ask(leaves[i], subleaves[j]);
}

static void print_stats(void)
{
	struct kvm_stats_header head;
	struct kvm_stats_desc *desc;
	size_t size;
	uint64_t value;
	uint32_t i, j;
	int fd;

	fd = call(vcpu, KVM_GET_STATS_FD, NULL, "KVM_GET_STATS_FD");
	if (pread(fd, &head, sizeof(head), 0) != sizeof(head))
		err(70, "header of the statistics");
	size = sizeof(*desc) + head.name_size;
	desc = malloc(size);
	if (!desc)
		err(70, "descriptor of the statistics");

	for (i = 0; i < head.num_desc; i++) {
		if (pread(fd, desc, size, head.desc_offset + i * size) != (ssize_t)size)
			err(70, "descriptor of the statistics");
		if ((desc->flags & KVM_STATS_TYPE_MASK) != KVM_STATS_TYPE_LINEAR_HIST)
			continue;
		printf("stats %s", desc->name);
		for (j = 0; j < desc->size; j++) {
			if (pread(fd, &value, sizeof(value), head.data_offset + desc->offset +
				  j * sizeof(value)) != sizeof(value))
				err(70, "%s", desc->name);
			if (value)
				printf(" %u:%llu", j, (unsigned long long)value);
		}
		putchar('\n');
	}
	free(desc);
	close(fd);
}

static unsigned long long detail(const struct kvm_run *run)
{
	switch (run->exit_reason) {
	case KVM_EXIT_FAIL_ENTRY:
		return run->fail_entry.hardware_entry_failure_reason;
	case KVM_EXIT_INTERNAL_ERROR:
		return run->internal.suberror;
	case KVM_EXIT_IO:
		return run->io.port;
	default:
		return 0;
	}
}

int main(int argc, char **argv)
{
	unsigned long long last = 0, now;
	unsigned long rounds, times = 0;
	struct kvm_run *run;
	int fails, asks, emulated, reason = -1;
	struct vmm vmm;

	if (argc < 3)
		errx(64, "usage: l3 work|segment|state|control|cpuid[-HOW] ROUNDS [COMMAND]");
	rounds = strtoul(argv[2], NULL, 0);
	fails = !strcmp(argv[1], "state") || !strcmp(argv[1], "control");
	asks = !strncmp(argv[1], "cpuid", 5);
	emulated = !strcmp(argv[1], "cpuid-emulated");

	vmm = emulated ? make_vm(0, emulated_code, sizeof(emulated_code), 1) :
	      asks ? make_vm(0, cpuid_code, sizeof(cpuid_code), 1) :
		     make_vm(0, guest_code, sizeof(guest_code), 1);
	vcpu = make_vcpu(&vmm, 0, &run);

	if (asks) {
		set_cpuid(vmm.kvm, !strcmp(argv[1], "cpuid-intel") ? "GenuineIntel" :
			       !strcmp(argv[1], "cpuid-amd") ? "AuthenticAMD" : NULL);
		set_state("work", 0);
		if (!strcmp(argv[1], "cpuid-faulting"))
			set_cpuid_faulting();
		while (rounds--)
			ask_all();
		goto end;
	}

	set_state(argv[1], rounds);
	do {
		if (fails && times)
			set_state(argv[1], rounds);
		call(vcpu, KVM_RUN, NULL, "KVM_RUN");
		now = detail(run);
		if (times && (reason != (int)run->exit_reason || last != now)) {
			printf("%d %#llx %lu\n", reason, last, times);
			times = 0;
		}
		reason = run->exit_reason;
		last = now;
		times++;
	} while (fails ? times < rounds : reason == KVM_EXIT_IO);
	printf("%d %#llx %lu\n", reason, last, times);
end:
	print_stats();
	return argc > 3 ? run_command(&vmm, argv[3]) : 0;
}
