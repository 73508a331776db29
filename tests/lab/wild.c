// SPDX-License-Identifier: GPL-2.0
/*
 * A VMM that does anything: what a program with /dev/kvm may do to the host.
 *
 * Usage: wild ROUNDS SEED FOLDER
 *
 * In each round it makes a VM, does some of what follows, in random order and with random
 * arguments, and closes it in random order too: turns the exit statistics' capability on and
 * off, makes vCPUs, runs them for an ask of CPUID, calls ioctls of KVM with a random
 * argument, reads KVM's binary statistics, and reads and writes the files of exit
 * statistics below FOLDER in debugfs, at random offsets. Prints "seed SEED" first, and at the
 * end "did KIND TIMES TAKEN" for each kind of thing. The same SEED does the same.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/time.h>

#include "vmm.h"

/* From the series; the system's headers do not have it. */
#define CAP_X86_EXIT_STATS 252
#define MAX_VCPUS 4
#define MAX_FDS 16

static const uint8_t cpuid_code[] = { 0x0f, 0xa2, 0xf4 };	/* cpuid; hlt */

static const char *const names[] = {
	"exit_stats_raw", "exit_stats_vcpus", "exit_stats_causes", "guest",
};

/* Those that neither wait nor write to the log, nor make something that stays. */
static const unsigned long requests[] = {
	KVM_GET_API_VERSION, KVM_CHECK_EXTENSION, KVM_GET_VCPU_MMAP_SIZE, KVM_GET_SUPPORTED_CPUID,
	KVM_GET_MSR_INDEX_LIST, KVM_CREATE_IRQCHIP, KVM_CREATE_PIT2, KVM_GET_CLOCK, KVM_SET_CLOCK,
	KVM_GET_REGS, KVM_SET_REGS, KVM_GET_SREGS, KVM_GET_MSRS, KVM_GET_LAPIC, KVM_SET_LAPIC,
	KVM_GET_MP_STATE, KVM_GET_VCPU_EVENTS, KVM_GET_DEBUGREGS, KVM_GET_XCRS, KVM_GET_XSAVE,
	KVM_GET_NESTED_STATE, KVM_GET_TSC_KHZ, KVM_GET_CPUID2, KVM_SMI, KVM_NMI,
	KVM_GET_DIRTY_LOG, KVM_TRANSLATE, KVM_SET_SIGNAL_MASK,
};

enum { CAPABILITY, MAKE_VCPU, ASK, IOCTL, STATISTICS, OPEN, READ, WRITE, CLOSE, KINDS };

static const char *const kinds[] = {
	"capability", "vcpu", "ask", "ioctl", "statistics", "open", "read", "write", "close",
};

static struct {
	unsigned long times, taken;
} did[KINDS];

static uint64_t state;
static const char *folder;
static uint64_t buffer[8192];

/* xorshift64 */
static uint64_t any(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* Small, near a power of two, or anything. */
static uint64_t odd(void)
{
	switch (any() % 4) {
	case 0:
		return any() % 8;
	case 1:
		return (1ULL << any() % 64) - any() % 3;
	case 2:
		return (uintptr_t)buffer;
	default:
		return any();
	}
}

static void nothing(int signal)
{
	(void)signal;
}

static int turn(int vm)
{
	struct kvm_enable_cap cap = {
		.cap = any() % 4 ? CAP_X86_EXIT_STATS : any() % 260,
		.flags = any() % 4 ? 0 : odd(),
		.args = { odd(), odd(), odd(), odd() },
	};

	/* Other capabilities change what KVM does, and are KVM's to test: they are only asked for. */
	if (cap.cap != CAP_X86_EXIT_STATS)
		return ioctl(vm, KVM_CHECK_EXTENSION, cap.cap);
	return ioctl(vm, KVM_ENABLE_CAP, &cap);
}

static int ask(int vcpu)
{
	struct itimerval timer = { { .tv_usec = 100000 }, { .tv_usec = 100000 } }, never = {};
	struct kvm_regs regs = {
		.rip = GUEST_AT, .rflags = 2,
		.rax = any() % 4 ? 0x4ffffff0 + any() % 16 : any(), .rcx = any() % 2 ? any() : odd(),
	};
	struct kvm_sregs sregs;
	int r;

	if (ioctl(vcpu, KVM_GET_SREGS, &sregs))
		return -1;
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) || ioctl(vcpu, KVM_SET_REGS, &regs))
		return -1;
	/*
	 * It may have an interrupt controller by now, and halt for ever. The first signal may
	 * come too early.
	 */
	setitimer(ITIMER_REAL, &timer, NULL);
	r = ioctl(vcpu, KVM_RUN, NULL);
	setitimer(ITIMER_REAL, &never, NULL);
	return r;
}

static int request(const int *fds, int number)
{
	size_t i;

	for (i = 0; i < sizeof(buffer) / sizeof(*buffer); i += 1 + any() % 64)
		buffer[i] = odd();
	return ioctl(fds[any() % number], requests[any() % (sizeof(requests) / sizeof(*requests))],
		     any() % 4 ? (uintptr_t)buffer : odd());
}

static int read_somewhere(int fd)
{
	return pread(fd, buffer, any() % 2 ? any() % 64 : any() % sizeof(buffer),
		     any() % 4 ? (off_t)(any() % 70000) : (off_t)odd());
}

static int statistics(int of)
{
	int fd = ioctl(of, KVM_GET_STATS_FD, NULL);
	int i, r = fd;

	for (i = 0; fd >= 0 && i < 8; i++)
		r = read_somewhere(fd);
	if (fd >= 0)
		close(fd);
	return r;
}

static int open_one(int vm)
{
	char path[256];

	if (any() % 4)
		snprintf(path, sizeof(path), "%s/%d-%d/%s", folder, (int)getpid(), vm,
			 names[any() % 4]);
	else
		snprintf(path, sizeof(path), "%s/%s", folder, names[0]);
	return open(path, any() % 2 ? O_RDWR : O_RDONLY);
}

static int write_somewhere(int fd)
{
	static const char *const words[] = { "0", "1", "-1", "0\n", "18446744073709551616", "", "x" };
	const char *word = words[any() % 7];

	return any() % 4 ? write(fd, word, strlen(word)) : pwrite(fd, buffer, any() % 9000, odd() >> 1);
}

static void note(int kind, int result)
{
	did[kind].times++;
	did[kind].taken += result >= 0;
}

static void one_round(void)
{
	struct vmm vmm = make_vm(0, cpuid_code, sizeof(cpuid_code), 1);
	int fds[MAX_VCPUS + 1] = { vmm.vm }, files[MAX_FDS];
	int number = 1, opened = 0, steps, i, kind, fd;

	for (steps = 10 + any() % 50; steps; steps--) {
		kind = any() % KINDS;
		if ((kind == READ || kind == WRITE || kind == CLOSE) && !opened)
			kind = OPEN;
		switch (kind) {
		case CAPABILITY:
			note(kind, turn(vmm.vm));
			break;
		case MAKE_VCPU:
			fd = ioctl(vmm.vm, KVM_CREATE_VCPU, any() % MAX_VCPUS);
			if (fd >= 0)
				fds[number++] = fd;
			note(kind, fd);
			break;
		case ASK:
			note(kind, ask(fds[any() % number]));
			break;
		case IOCTL:
			note(kind, request(fds, number));
			break;
		case STATISTICS:
			note(kind, statistics(fds[any() % number]));
			break;
		case OPEN:
			fd = opened < MAX_FDS ? open_one(vmm.vm) : -1;
			if (fd >= 0)
				files[opened++] = fd;
			note(kind, fd);
			break;
		case READ:
			note(kind, read_somewhere(files[any() % opened]));
			break;
		case WRITE:
			note(kind, write_somewhere(files[any() % opened]));
			break;
		case CLOSE:
			note(kind, close(files[--opened]));
		}
	}
	/* The VM may go before its vCPUs and files do, or after them. */
	if (any() % 2)
		for (i = 0; i < number; i++)
			close(fds[i]);
	for (i = 0; i < opened; i++) {
		read_somewhere(files[i]);
		close(files[i]);
	}
	for (i = 0; i < number; i++)
		close(fds[i]);
	close(vmm.kvm);
	munmap(vmm.memory, 4096);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = nothing };
	unsigned long round, rounds;
	int i;

	if (argc != 4)
		errx(64, "usage: wild ROUNDS SEED FOLDER");
	rounds = strtoul(argv[1], NULL, 0);
	state = strtoull(argv[2], NULL, 0);
	folder = argv[3];
	printf("seed %#llx\n", (unsigned long long)state);
	sigaction(SIGALRM, &action, NULL);
	for (round = 0; round < rounds; round++) {
		fflush(stdout);
		one_round();
	}
	for (i = 0; i < KINDS; i++)
		printf("did %s %lu %lu\n", kinds[i], did[i].times, did[i].taken);
	return 0;
}
