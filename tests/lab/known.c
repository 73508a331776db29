// SPDX-License-Identifier: GPL-2.0
/*
 * A VMM whose guest makes exits of which all is known: reason, key, address and number.
 *
 * Usage: known ROUNDS --ask|--enable|--not COMMAND
 *
 * The guest makes ROUNDS rounds in real mode, and as many at CPL 3 in protected mode,
 * where its code segment begins at BASE. Then, but with --not, it takes a snapshot of its exits
 * and reads the causes from leaf 0x4ffffff9. Printed are "at NAME ADDRESS" of each
 * instruction, "entry WORDS" of each entry, "rest EXITS CYCLES" and "total EXITS CYCLES".
 * With --enable the VMM turns the causes on, and prints what else it was told.
 * COMMAND is run as by l3.
 */
#include <errno.h>

#include "vmm.h"

/* From the series; the system's headers do not have it. */
#define CAP_X86_EXIT_STATS 252
#define LEAF_EXTENSION 0x4ffffffa
#define LEAF_CAUSES 0x4ffffff9
#define SNAPSHOT (0x7fff << 16)
#define OF_SNAPSHOT 0x80000000
#define TOTAL 0xffff
#define WORDS 6

/* The port by which a part of the guest's work ends. */
#define END 0x99
/* Where no memory is. */
#define MMIO 0x8000
/* Where the second part's code segment begins, and its code and that of ask() are. */
#define BASE 0x800
#define USER_AT (GUEST_AT + 0x200)
#define ASK_AT (GUEST_AT + 0x400)

/* 16-bit code. */
static const uint8_t real_code[] = {
	0x66, 0xb9, 0x79, 0, 0, 0,		/* again: mov $0x79, %ecx */
	0x66, 0x31, 0xc0, 0x66, 0x31, 0xd2,	/* xor %eax, %eax; xor %edx, %edx */
	0x0f, 0x30,				/* 12: wrmsr */
	0x66, 0xb9, 0x8b, 0, 0, 0,		/* mov $0x8b, %ecx */
	0x0f, 0x32,				/* 20: rdmsr */
	0x66, 0xb8, 0, 0, 0, 0x80,		/* mov $0x80000000, %eax */
	0x66, 0xb9, 7, 0, 0, 0,			/* mov $7, %ecx */
	0x0f, 0xa2,				/* 34: cpuid */
	0xe6, PORT,				/* 36: out %al, $PORT */
	0xe4, 0x71,				/* 38: in $0x71, %al */
	0xe6, PORT,				/* 40: out %al, $PORT */
	0xa2, MMIO & 0xff, MMIO >> 8,		/* 42: mov %al, MMIO */
	0x4e, 0x75, 0xd0,			/* dec %si; jnz again */
	0xe6, END,				/* 48: out %al, $END */
};

/* 32-bit code. */
static const uint8_t user_code[] = {
	0xb8, 0, 0, 0, 0,			/* again: mov $0, %eax */
	0xb9, 3, 0, 0, 0,			/* mov $3, %ecx */
	0x0f, 0xa2,				/* 10: cpuid */
	0xe6, PORT,				/* 12: out %al, $PORT */
	0x4e, 0x75, 0xef,			/* dec %esi; jnz again */
	0xe6, END,				/* 17: out %al, $END */
};

static const uint8_t ask_code[] = { 0x0f, 0xa2, 0xf4 };	/* cpuid; hlt */

static const struct {
	const char *name;
	int at;
} places[] = {
	{ "wrmsr", GUEST_AT + 12 }, { "rdmsr", GUEST_AT + 20 }, { "cpuid", GUEST_AT + 34 },
	{ "out", GUEST_AT + 36 }, { "in", GUEST_AT + 38 }, { "out-again", GUEST_AT + 40 },
	{ "mmio", GUEST_AT + 42 }, { "end", GUEST_AT + 48 },
	{ "user-cpuid", USER_AT + 10 }, { "user-out", USER_AT + 12 }, { "user-end", USER_AT + 17 },
};

static int vcpu;
static struct kvm_run *run;

static void run_to_the_end(unsigned long at, unsigned long rounds)
{
	struct kvm_regs regs = { .rip = at, .rsi = rounds, .rflags = 2 | 3 << 12 };

	call(vcpu, KVM_SET_REGS, &regs, "KVM_SET_REGS");
	do {
		call(vcpu, KVM_RUN, NULL, "KVM_RUN");
		if (run->exit_reason != KVM_EXIT_IO && run->exit_reason != KVM_EXIT_MMIO)
			errx(70, "KVM_RUN returns with reason %u", run->exit_reason);
	} while (run->exit_reason == KVM_EXIT_MMIO || run->io.port != END);
}

/* Protected mode at CPL 3, without paging; code from BASE on. */
static void enter_user_mode(void)
{
	struct kvm_segment segment = {
		.limit = 0xffffffff, .selector = 3, .present = 1, .s = 1, .db = 1, .g = 1, .dpl = 3,
	};
	struct kvm_sregs sregs;

	call(vcpu, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
	segment.type = 3;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = segment;
	segment.type = 11;
	segment.base = BASE;
	sregs.cs = segment;
	sregs.cr0 |= 1;
	call(vcpu, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS");
}

static struct kvm_regs ask(uint32_t leaf, uint32_t subleaf)
{
	struct kvm_regs regs = { .rip = ASK_AT, .rflags = 2, .rax = leaf, .rcx = subleaf };

	call(vcpu, KVM_SET_REGS, &regs, "KVM_SET_REGS");
	call(vcpu, KVM_RUN, NULL, "KVM_RUN");
	call(vcpu, KVM_GET_REGS, &regs, "KVM_GET_REGS");
	return regs;
}

static unsigned long long value(struct kvm_regs regs)
{
	return regs.rbx << 32 | (uint32_t)regs.rax;
}

static void ask_causes(void)
{
	uint32_t entry, word;

	if (ask(LEAF_EXTENSION, SNAPSHOT).rdx)
		errx(70, "there is no snapshot");
	for (entry = 0; !ask(LEAF_CAUSES, entry | OF_SNAPSHOT).rdx; entry++) {
		printf("entry");
		for (word = 0; word < WORDS; word++)
			printf(" %#llx", value(ask(LEAF_CAUSES, entry | word << 16 | OF_SNAPSHOT)));
		putchar('\n');
	}
	printf("rest %llu %llu\n", value(ask(LEAF_CAUSES, TOTAL | 3 << 16 | OF_SNAPSHOT)),
	       value(ask(LEAF_CAUSES, TOTAL | 4 << 16 | OF_SNAPSHOT)));
	printf("total %llu %llu\n", value(ask(LEAF_EXTENSION, TOTAL | OF_SNAPSHOT)),
	       value(ask(LEAF_EXTENSION, TOTAL | 1 << 16 | OF_SNAPSHOT)));
	printf("undefined %#llx %#llx\n", ask(LEAF_CAUSES, 6 << 16 | OF_SNAPSHOT).rdx,
	       ask(LEAF_CAUSES, 1 << 24 | OF_SNAPSHOT).rdx);
	printf("own %#llx\n", value(ask(LEAF_CAUSES, 0)));
}

static void enable(const struct vmm *vmm, unsigned long flags)
{
	struct kvm_enable_cap cap = { .cap = CAP_X86_EXIT_STATS, .args[0] = flags };

	errno = 0;
	ioctl(vmm->vm, KVM_ENABLE_CAP, &cap);
	printf("enable %lu %s\n", flags, errno ? strerror(errno) : "taken");
}

int main(int argc, char **argv)
{
	unsigned long rounds;
	struct kvm_sregs real_mode;
	struct vmm vmm;
	unsigned int i;
	int asks, enables;

	if (argc != 4)
		errx(64, "usage: known ROUNDS --ask|--enable|--not COMMAND");
	rounds = strtoul(argv[1], NULL, 0);
	enables = !strcmp(argv[2], "--enable");
	asks = enables || !strcmp(argv[2], "--ask");
	vmm = make_vm(0, real_code, sizeof(real_code), 1);
	memcpy(vmm.memory + USER_AT - GUEST_AT, user_code, sizeof(user_code));
	memcpy(vmm.memory + ASK_AT - GUEST_AT, ask_code, sizeof(ask_code));
	if (enables) {
		printf("check %d\n", ioctl(vmm.vm, KVM_CHECK_EXTENSION, CAP_X86_EXIT_STATS));
		enable(&vmm, 4);
		enable(&vmm, 3);
	}
	vcpu = make_vcpu(&vmm, 0, &run);
	if (enables)
		enable(&vmm, 3);
	for (i = 0; i < sizeof(places) / sizeof(*places); i++)
		printf("at %s %#x\n", places[i].name, places[i].at);

	start_at(vcpu, (struct kvm_regs){ 0 });
	call(vcpu, KVM_GET_SREGS, &real_mode, "KVM_GET_SREGS");
	run_to_the_end(GUEST_AT, rounds);
	enter_user_mode();
	run_to_the_end(USER_AT - BASE, rounds);
	call(vcpu, KVM_SET_SREGS, &real_mode, "KVM_SET_SREGS");
	if (asks)
		ask_causes();
	return run_command(&vmm, argv[3]);
}
