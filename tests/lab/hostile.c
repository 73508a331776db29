// SPDX-License-Identifier: GPL-2.0
/*
 * A guest that asks CPUID for anything, and the guest next door.
 *
 * Usage: hostile ask VCPUS ASKS SEED [COMMAND]
 *        hostile neighbour MILLISECONDS
 *
 *   ask        each of VCPUS vCPUs, in a thread of its own, asks ASKS times for a random
 *              leaf and selector: three of four leaves begin with 0x4fffff, one of sixteen
 *              selectors takes a snapshot; prints "asked ASKS SUM" for each, where SUM is
 *              of all answers, and "from NS until NS", when all of them asked, by the
 *              monotonic clock. COMMAND is run as by l3, when all have asked.
 *   neighbour  the guest asks for leaf 0 all the time; about once in MILLISECONDS prints
 *              "exits EXITS from NS until NS", until something comes to its input
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <time.h>

#include "vmm.h"

#define MAX_VCPUS 8
/* Asks of the neighbour between two looks at the clock, and its exits: one OUT each. */
#define STRETCH 200

/*
 * ESI: how often it asks; EDI: the state of xorshift32, never 0; EBP: the sum. Both run
 * in flat 32-bit protected mode.
 */
#define RANDOM \
	"mov %edi, %eax; shl $13, %eax; xor %eax, %edi\n" \
	"mov %edi, %eax; shr $17, %eax; xor %eax, %edi\n" \
	"mov %edi, %eax; shl $5, %eax; xor %eax, %edi\n"

extern const char asking[], asking_end[], busy[], busy_end[];

__asm__(".pushsection .rodata\n"
	".code32\n"
	"asking:\n"
	RANDOM
	"	mov %edi, %ecx\n"
	"	test $0xf00, %ecx\n"
	"	jnz 1f\n"
	"	and $0x8000ffff, %ecx\n"
	"	or $0x7fff0000, %ecx\n"
	"1:\n"
	RANDOM
	"	mov %edi, %eax\n"
	"	test $3, %al\n"
	"	jz 2f\n"
	"	shr $24, %eax\n"
	"	or $0x4fffff00, %eax\n"
	"	test $4, %edi\n"
	"	jz 2f\n"
	"	or $0xf8, %eax\n"
	"2:	cpuid\n"
	"	add %eax, %ebp\n"
	"	add %ebx, %ebp\n"
	"	add %ecx, %ebp\n"
	"	add %edx, %ebp\n"
	"	dec %esi\n"
	"	jnz asking\n"
	"	hlt\n"
	"asking_end:\n"
	"busy:\n"
	"	xor %eax, %eax\n"
	"	cpuid\n"
	"	dec %esi\n"
	"	jnz busy\n"
	"	out %al, $0x80\n"
	"busy_end:\n"
	".code64\n"
	".popsection\n");

struct asker {
	pthread_t thread;
	int vcpu;
	struct kvm_run *run;
	struct kvm_regs regs;
	uint64_t begun, ended;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static void enter_protected_mode(int vcpu)
{
	struct kvm_sregs sregs;

	call(vcpu, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
	protected_mode(&sregs);
	call(vcpu, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS");
}

static void *ask(void *argument)
{
	struct asker *asker = argument;

	enter_protected_mode(asker->vcpu);
	call(asker->vcpu, KVM_SET_REGS, &asker->regs, "KVM_SET_REGS");
	asker->begun = now_ns();
	call(asker->vcpu, KVM_RUN, NULL, "KVM_RUN");
	asker->ended = now_ns();
	if (asker->run->exit_reason != KVM_EXIT_HLT)
		errx(70, "KVM_RUN returns with reason %u", asker->run->exit_reason);
	call(asker->vcpu, KVM_GET_REGS, &asker->regs, "KVM_GET_REGS");
	return NULL;
}

static int ask_all(int vcpus, uint32_t asks, uint32_t seed, const char *command)
{
	struct vmm vmm = make_vm(0, asking, asking_end - asking, 1);
	struct asker askers[MAX_VCPUS];
	uint64_t from = 0, until = UINT64_MAX;
	int i;

	for (i = 0; i < vcpus; i++) {
		askers[i].vcpu = make_vcpu(&vmm, i, &askers[i].run);
		askers[i].regs = (struct kvm_regs) {
			.rip = GUEST_AT, .rflags = 2, .rsi = asks, .rdi = seed + i,
		};
		errno = pthread_create(&askers[i].thread, NULL, ask, &askers[i]);
		if (errno)
			err(70, "pthread_create");
	}
	for (i = 0; i < vcpus; i++) {
		pthread_join(askers[i].thread, NULL);
		printf("asked %u %#llx\n", asks, askers[i].regs.rbp);
		from = askers[i].begun > from ? askers[i].begun : from;
		until = askers[i].ended < until ? askers[i].ended : until;
	}
	printf("from %llu until %llu\n", (unsigned long long)from, (unsigned long long)until);
	return command ? run_command(&vmm, command) : 0;
}

static int neighbour(long milliseconds)
{
	struct vmm vmm = make_vm(0, busy, busy_end - busy, 1);
	struct pollfd input = { .events = POLLIN };
	uint64_t exits = 0, begun, now;
	struct kvm_run *run;
	int vcpu = make_vcpu(&vmm, 0, &run);
	struct kvm_regs regs = { .rip = GUEST_AT, .rflags = 2, .rsi = STRETCH };

	enter_protected_mode(vcpu);
	begun = now_ns();
	for (;;) {
		call(vcpu, KVM_SET_REGS, &regs, "KVM_SET_REGS");
		call(vcpu, KVM_RUN, NULL, "KVM_RUN");
		if (run->exit_reason != KVM_EXIT_IO)
			errx(70, "KVM_RUN returns with reason %u", run->exit_reason);
		exits += STRETCH + 1;
		now = now_ns();
		if (now - begun < milliseconds * 1000000ULL)
			continue;
		printf("exits %llu from %llu until %llu\n", (unsigned long long)exits,
		       (unsigned long long)begun, (unsigned long long)now);
		fflush(stdout);
		if (poll(&input, 1, 0) > 0)
			return 0;
		exits = 0;
		begun = now;
	}
}

int main(int argc, char **argv)
{
	if (argc >= 5 && !strcmp(argv[1], "ask") && atoi(argv[2]) <= MAX_VCPUS)
		return ask_all(atoi(argv[2]), strtoul(argv[3], NULL, 0), strtoul(argv[4], NULL, 0),
			     argc > 5 ? argv[5] : NULL);
	if (argc == 3 && !strcmp(argv[1], "neighbour"))
		return neighbour(strtol(argv[2], NULL, 0));
	errx(64, "usage: hostile ask VCPUS ASKS SEED [COMMAND] | neighbour MILLISECONDS");
}
