// SPDX-License-Identifier: GPL-2.0
/*
 * Prints what a VM exit of each kind costs, in counts of the guest's TSC.  A VMM
 * of one vCPU, whose guest of a few bytes times each exit by itself: between two
 * readings of the clock is one instruction.  Static; runs in L1, or in L2 for
 * the clock alone.
 *
 * Usage: exitkinds ROUNDS [COMMAND]
 *        exitkinds tsc
 *
 * Prints "kind NAME rounds N min M median M p99 M" for each kind.  COMMAND is run
 * by the shell at the end, while the VM is still there.  `tsc` prints the clock.
 */
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/kvm.h>

#define CODE_AT 0x1000
#define IDT_AT 0x4000
#define GDT_AT 0x5000
#define STACK_AT 0x8000
#define LOW_SIZE 0x10000
#define SAMPLES_AT 0x100000
#define SAMPLES_SIZE 0x10000
#define PAGES_AT 0x1000000
#define MOST_ROUNDS 4000
#define VECTOR 0x40

/* ESI: the clock before; EDI: where the sample goes; EBP: rounds left. */
#define CLOCK "lfence; rdtsc; lfence;"
#define BEFORE CLOCK "mov %eax, %esi;"
#define AFTER CLOCK "sub %esi, %eax; stosl;"
#define DONE "out %al, $0x81;"
#define TIMED(name, prepare, instruction, after)		\
	"guest_" name ": " prepare BEFORE instruction "\n"	\
	AFTER after "dec %ebp; jnz guest_" name ";" DONE "\n"
/* An interrupt command in x2APIC mode: fixed, physical, to the APIC in EDX. */
#define SEND(apic) "mov $0x830, %ecx; mov $" apic ", %edx; mov $0x40, %eax;"
#define APIC_ON "mov $0x80f, %ecx; xor %edx, %edx; mov $0x1ff, %eax; wrmsr;"

asm(".pushsection .rodata\n"
    ".code32\n"
    "guest_code:\n"
    /* A leaf that the table has: the clock leaves a number in EAX that is none. */
    TIMED("cpuid", "", "xor %eax, %eax; xor %ecx, %ecx; cpuid", "")
    TIMED("pio", "", "out %al, $0x80", "")
    TIMED("mmio", "", "mov 0xd0000000, %eax", "")
    /* To an APIC that is not there.  EAX is lost to the clock. */
    TIMED("wrmsr", SEND("5"), "mov $0x40, %eax; mov $5, %edx; wrmsr", "")
    TIMED("ept", "", "mov (%ebx), %eax", "add $4096, %ebx;")
    /*
     * HLT with an interrupt pending, which the APIC sent to itself: the vCPU
     * does not sleep.  EBX: where the interrupt's handler goes on.
     */
    "guest_hlt: " APIC_ON "mov $(1f - guest_code + 0x1000), %ebx;\n"
    "1: " SEND("0") "wrmsr;" BEFORE "sti; hlt\n"
    /* HLT until a timer expires: how late the guest wakes up. */
    "guest_wake: " APIC_ON "mov $0x832, %ecx; mov $0x40040, %eax; wrmsr;"
    "mov $(1f - guest_code + 0x1000), %ebx;\n"
    "1: rdtsc; add $100000, %eax; adc $0, %edx; mov %eax, %esi;"
    "mov $0x6e0, %ecx; wrmsr; sti; hlt\n"
    "guest_woken: " AFTER
    "mov $0x80b, %ecx; xor %eax, %eax; xor %edx, %edx; wrmsr;"
    "add $12, %esp; dec %ebp; jz 1f; jmp *%ebx; 1: " DONE "\n"
    "guest_end:\n"
    ".code64\n"
    ".popsection\n");

extern const uint8_t guest_code[], guest_end[], guest_woken[];
extern const uint8_t guest_cpuid[], guest_pio[], guest_mmio[], guest_wrmsr[], guest_ept[],
	guest_hlt[], guest_wake[];

static const struct kind {
	const char *name;
	const uint8_t *entry;
} kinds[] = {
	{ "cpuid", guest_cpuid }, { "hlt", guest_hlt }, { "wake", guest_wake },
	{ "pio", guest_pio },
	{ "mmio", guest_mmio }, { "wrmsr", guest_wrmsr }, { "ept", guest_ept },
};

static int kvm, vm, vcpu;
static uint8_t *low, *samples;

static int call(int fd, unsigned long request, void *argument, const char *what)
{
	int result = ioctl(fd, request, argument);

	if (result < 0)
		err(70, "%s", what);
	return result;
}

static uint32_t at(const uint8_t *code)
{
	return CODE_AT + (code - guest_code);
}

/* Memory that is there already, so that an EPT violation does not wait for it. */
static uint8_t *add_memory(unsigned int slot, uint64_t where, uint64_t size)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot, .guest_phys_addr = where, .memory_size = size,
	};
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (memory == MAP_FAILED)
		err(70, "mmap of %llu bytes", (unsigned long long)size);
	region.userspace_addr = (uintptr_t)memory;
	call(vm, KVM_SET_USER_MEMORY_REGION, &region, "KVM_SET_USER_MEMORY_REGION");
	return memory;
}

static void fill_low(void)
{
	const uint64_t gdt[] = { 0, 0x00cf9b000000ffff, 0x00cf93000000ffff };
	const uint32_t handler = at(guest_woken);
	/* A present 32-bit interrupt gate of selector 8. */
	const uint64_t gate = (handler & 0xffff) | 8 << 16 | 0x8e00ULL << 32 |
			      (uint64_t)(handler >> 16) << 48;

	memcpy(low + CODE_AT, guest_code, guest_end - guest_code);
	memcpy(low + GDT_AT, gdt, sizeof(gdt));
	memcpy(low + IDT_AT + 8 * VECTOR, &gate, sizeof(gate));
}

/* Flat 32-bit protected mode without paging, and the APIC in x2APIC mode. */
static void set_mode(void)
{
	struct kvm_segment flat = {
		.limit = 0xffffffff, .present = 1, .s = 1, .db = 1, .g = 1,
	};
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[256];
	} cpuid = { .head.nent = 256 };
	struct kvm_sregs sregs;
	uint32_t i;

	call(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid, "KVM_GET_SUPPORTED_CPUID");
	/* The TSC-deadline timer is the VMM's to offer. */
	for (i = 0; i < cpuid.head.nent; i++)
		if (cpuid.entries[i].function == 1)
			cpuid.entries[i].ecx |= 1 << 24;
	call(vcpu, KVM_SET_CPUID2, &cpuid, "KVM_SET_CPUID2");

	call(vcpu, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
	flat.type = 11;
	flat.selector = 8;
	sregs.cs = flat;
	flat.type = 3;
	flat.selector = 16;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = flat;
	sregs.cr0 |= 1;
	sregs.gdt.base = GDT_AT;
	sregs.gdt.limit = 3 * 8 - 1;
	sregs.idt.base = IDT_AT;
	sregs.idt.limit = 8 * (VECTOR + 1) - 1;
	sregs.apic_base |= 0xc00;
	call(vcpu, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS");
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void measure(const struct kind *kind, struct kvm_run *run, uint32_t rounds)
{
	struct kvm_regs regs = {
		.rip = at(kind->entry), .rdi = SAMPLES_AT, .rbp = rounds, .rbx = PAGES_AT,
		.rsp = STACK_AT, .rflags = 2,
	};
	uint32_t *took = (uint32_t *)samples;

	call(vcpu, KVM_SET_REGS, &regs, "KVM_SET_REGS");
	do {
		call(vcpu, KVM_RUN, NULL, "KVM_RUN");
		if (run->exit_reason != KVM_EXIT_IO && run->exit_reason != KVM_EXIT_MMIO)
			errx(70, "%s: KVM_RUN returned for reason %u", kind->name,
			     run->exit_reason);
	} while (run->exit_reason != KVM_EXIT_IO || run->io.port != 0x81);
	/* Completes the OUT, so that the next kind does not begin behind it. */
	run->immediate_exit = 1;
	ioctl(vcpu, KVM_RUN, NULL);
	run->immediate_exit = 0;

	qsort(took, rounds, sizeof(*took), by_size);
	printf("kind %s rounds %u min %u median %u p99 %u\n", kind->name, rounds, took[0],
	       took[rounds / 2], took[rounds * 99 / 100]);
}

int main(int argc, char **argv)
{
	struct kvm_run *run;
	uint32_t rounds;
	size_t i;

	if (argc == 2 && !strcmp(argv[1], "tsc")) {
		printf("tsc %llu\n", __builtin_ia32_rdtsc());
		return 0;
	}
	rounds = argc > 1 ? strtoul(argv[1], NULL, 0) : 0;
	if (rounds < 1 || rounds > MOST_ROUNDS)
		errx(64, "usage: exitkinds ROUNDS [COMMAND], with 1 to %d rounds", MOST_ROUNDS);

	kvm = open("/dev/kvm", O_RDWR);
	if (kvm < 0)
		err(70, "/dev/kvm");
	vm = call(kvm, KVM_CREATE_VM, NULL, "KVM_CREATE_VM");
	call(vm, KVM_SET_TSS_ADDR, (void *)0xfffbd000UL, "KVM_SET_TSS_ADDR");
	call(vm, KVM_CREATE_IRQCHIP, NULL, "KVM_CREATE_IRQCHIP");
	low = add_memory(0, 0, LOW_SIZE);
	samples = add_memory(1, SAMPLES_AT, SAMPLES_SIZE);
	add_memory(2, PAGES_AT, rounds * 4096UL);
	fill_low();

	vcpu = call(vm, KVM_CREATE_VCPU, NULL, "KVM_CREATE_VCPU");
	run = mmap(NULL, call(kvm, KVM_GET_VCPU_MMAP_SIZE, NULL, "KVM_GET_VCPU_MMAP_SIZE"),
		   PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		err(70, "mmap of the vCPU");
	set_mode();

	for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		measure(&kinds[i], run, rounds);
	fflush(stdout);

	if (argc > 2)
		return system(argv[2]) ? 1 : 0;
	return 0;
}
