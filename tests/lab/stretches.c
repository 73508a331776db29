// SPDX-License-Identifier: GPL-2.0
/*
 * A VMM of one vCPU, which spends a known time in one place.
 *
 * Usage: stretches MODE MILLISECONDS COMMAND
 *
 *   fault      the guest reads a page that another thread of the VMM provides only
 *              after that time (userfaultfd): the exit's handler sleeps meanwhile
 *   pio        the VMM takes that long to answer an INS, and as long again to provide
 *              the page that KVM writes the answer to, in the next KVM_RUN
 *   attribute  the guest reads a page that is private and has no memory, so KVM_RUN fails
 *              with KVM_EXIT_MEMORY_FAULT; the VMM takes that long to make it shared
 *   signal     the guest does nothing; a signal ends KVM_RUN, and the VMM calls it again
 *              only after that time, until the guest is told to halt
 *
 * Prints "slept CYCLES" for each such time, by the TSC, and what exit_stats_vcpus says at
 * the begin and at the end of each. COMMAND as for l3.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#include <linux/userfaultfd.h>

#include "vmm.h"

#define SLOW_PAGE (GUEST_AT + 4096)

/* mov 0x2000, %al; hlt */
static const uint8_t read_code[] = { 0xa0, 0x00, 0x20, 0xf4 };
/* mov $0x2000, %di; mov $PORT, %dx; insb; hlt */
static const uint8_t ins_code[] = { 0xbf, 0x00, 0x20, 0xba, PORT, 0x00, 0x6c, 0xf4 };
/*
 * sti; again: cmp %al, 0x2000; je again; hlt
 *
 * Bochs lets no interrupt of the host's through while the guest's are off.
 */
static const uint8_t spin_code[] = { 0xfb, 0x38, 0x06, 0x00, 0x20, 0x74, 0xfa, 0xf4 };

static struct vmm vmm;
static long milliseconds;

static uint64_t rdtsc(void)
{
	uint32_t low, high;

	asm volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

/* What the host sees of the vCPU. */
static void show_vcpu(void)
{
	char name[96], text[4096];
	size_t size;
	FILE *file;

	snprintf(name, sizeof(name), "/sys/kernel/debug/kvm/%d-%d/exit_stats_vcpus",
		 (int)getpid(), vmm.vm);
	file = fopen(name, "r");
	if (!file)
		err(70, "%s", name);
	size = fread(text, 1, sizeof(text), file);
	fwrite(text, 1, size, stdout);
	fclose(file);
}

static void spend(void)
{
	struct timespec time = { milliseconds / 1000, milliseconds % 1000 * 1000000 };
	uint64_t begin = rdtsc();

	show_vcpu();
	while (nanosleep(&time, &time))
		;
	show_vcpu();
	printf("slept %llu\n", (unsigned long long)(rdtsc() - begin));
}

/*
 * Wait until the vCPU's thread sleeps: this one may have preempted it on its way there,
 * so that it is scheduled out twice.
 */
static void await_sleep(void)
{
	char name[64], state = 'R';
	FILE *file;

	snprintf(name, sizeof(name), "/proc/self/task/%d/stat", (int)getpid());
	while (state == 'R') {
		usleep(1000);
		file = fopen(name, "r");
		if (!file || fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
			err(70, "%s", name);
		fclose(file);
	}
}

/* Provides each page that is asked for, late. */
static void *provide(void *argument)
{
	int fd = *(int *)argument;
	struct uffdio_zeropage zero;
	struct uffd_msg message;

	while (read(fd, &message, sizeof(message)) == sizeof(message)) {
		await_sleep();
		spend();
		zero.range.start = message.arg.pagefault.address & ~4095ULL;
		zero.range.len = 4096;
		zero.mode = 0;
		call(fd, UFFDIO_ZEROPAGE, &zero, "UFFDIO_ZEROPAGE");
	}
	return NULL;
}

static void provide_late(void)
{
	struct uffdio_register range = {
		.range = { (uintptr_t)vmm.memory + 4096, 4096 },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct uffdio_api api = { .api = UFFD_API };
	static pthread_t thread;
	static int fd;

	fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (fd < 0)
		err(70, "userfaultfd");
	call(fd, UFFDIO_API, &api, "UFFDIO_API");
	call(fd, UFFDIO_REGISTER, &range, "UFFDIO_REGISTER");
	errno = pthread_create(&thread, NULL, provide, &fd);
	if (errno)
		err(70, "pthread_create");
}

static void set_private(uint64_t attributes)
{
	struct kvm_memory_attributes page = {
		.address = SLOW_PAGE, .size = 4096, .attributes = attributes,
	};

	call(vmm.vm, KVM_SET_MEMORY_ATTRIBUTES, &page, "KVM_SET_MEMORY_ATTRIBUTES");
}

static void nothing(int signal)
{
	(void)signal;
}

int main(int argc, char **argv)
{
	struct itimerval timer = { .it_value.tv_usec = 50000 };
	struct kvm_run *run;
	const char *mode;
	int vcpu, signals = 0;

	if (argc != 4)
		errx(64, "usage: stretches fault|pio|attribute|signal MILLISECONDS COMMAND");
	mode = argv[1];
	milliseconds = strtol(argv[2], NULL, 0);

	if (!strcmp(mode, "pio"))
		vmm = make_vm(0, ins_code, sizeof(ins_code), 2);
	else if (!strcmp(mode, "signal"))
		vmm = make_vm(0, spin_code, sizeof(spin_code), 2);
	else
		vmm = make_vm(strcmp(mode, "attribute") ? 0 : KVM_X86_SW_PROTECTED_VM,
			      read_code, sizeof(read_code), 2);
	vcpu = make_vcpu(&vmm, 0, &run);
	start_at(vcpu, (struct kvm_regs) {});
	if (!strcmp(mode, "fault") || !strcmp(mode, "pio"))
		provide_late();
	if (!strcmp(mode, "attribute"))
		set_private(KVM_MEMORY_ATTRIBUTE_PRIVATE);
	if (!strcmp(mode, "signal")) {
		signal(SIGALRM, nothing);
		setitimer(ITIMER_REAL, &timer, NULL);
	}

	do {
		if (!ioctl(vcpu, KVM_RUN, NULL)) {
			printf("exit %u\n", run->exit_reason);
			if (run->exit_reason == KVM_EXIT_IO)
				spend();
		} else if (errno == EINTR) {
			spend();
			signals++;
			/* The guest compares it with 0. */
			vmm.memory[4096] = 1;
		} else if (errno == EFAULT && run->exit_reason == KVM_EXIT_MEMORY_FAULT) {
			printf("exit %u\n", run->exit_reason);
			spend();
			set_private(0);
		} else {
			err(70, "KVM_RUN");
		}
	} while (run->exit_reason != KVM_EXIT_HLT);
	printf("signals %d\n", signals);
	return run_command(&vmm, argv[3]);
}
