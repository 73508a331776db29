// SPDX-License-Identifier: GPL-2.0
/*
 * A VMM that turns the guest's leaves on and off, and one whose memory is limited.
 *
 * Usage: limits capability
 *        limits memory CGROUP
 *
 *   capability  prints "check VALUE" of KVM_CHECK_EXTENSION for KVM and for the VM; then
 *               whether the guest is served the leaves, and its instance number; then the
 *               same after KVM_ENABLE_CAP was called with 0, 1, 2 and 4, and its error
 *   memory      VCPUS vCPUs, which have run, take a snapshot each, with the limit of the
 *               memory cgroup set to what it uses; prints how many got one
 */
#include <errno.h>

#include "vmm.h"

/* From the series; the system's headers do not have it. */
#define CAP_X86_EXIT_STATS 252
#define LEAF_DISCOVERY 0x4ffffffb
#define LEAF_EXTENSION 0x4ffffffa
#define SNAPSHOT (0x7fff << 16)

#define VCPUS 64

static const uint8_t cpuid_code[] = { 0x0f, 0xa2, 0xf4 };	/* cpuid; hlt */

static struct kvm_regs ask(int vcpu, uint32_t leaf, uint32_t subleaf)
{
	struct kvm_regs regs = { .rax = leaf, .rcx = subleaf };

	start_at(vcpu, regs);
	call(vcpu, KVM_RUN, NULL, "KVM_RUN");
	call(vcpu, KVM_GET_REGS, &regs, "KVM_GET_REGS");
	return regs;
}

static void print_served(int vcpu)
{
	struct kvm_regs signature = ask(vcpu, LEAF_DISCOVERY, 0);
	struct kvm_regs instance = ask(vcpu, LEAF_DISCOVERY, 2);

	if (signature.rbx == 0x454d564b)
		printf("served %llx\n", instance.rbx << 32 | instance.rax);
	else
		printf("not served\n");
}

static void capability(void)
{
	struct vmm vmm = make_vm(0, cpuid_code, sizeof(cpuid_code), 1);
	struct kvm_enable_cap cap = { .cap = CAP_X86_EXIT_STATS };
	static const int flags[] = { 0, 1, 2, 4 };
	struct kvm_run *run;
	int vcpu = make_vcpu(&vmm, 0, &run);
	unsigned int i;

	printf("check %d %d\n", ioctl(vmm.kvm, KVM_CHECK_EXTENSION, CAP_X86_EXIT_STATS),
	       ioctl(vmm.vm, KVM_CHECK_EXTENSION, CAP_X86_EXIT_STATS));
	print_served(vcpu);
	for (i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		cap.args[0] = flags[i];
		errno = 0;
		ioctl(vmm.vm, KVM_ENABLE_CAP, &cap);
		printf("enable %d %s\n", (int)cap.args[0], errno ? strerror(errno) : "taken");
		print_served(vcpu);
	}
}

static void write_file(const char *folder, const char *name, const char *text)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		err(70, "%s", path);
	close(fd);
}

/*
 * As small as it can be: each page that is charged from now on is one too many. Returns
 * the file, so that the limit can be lifted without opening it, which takes memory.
 */
static int limit(const char *cgroup)
{
	char path[256], used[32];
	ssize_t size;
	int fd;

	snprintf(path, sizeof(path), "%s/memory.current", cgroup);
	fd = open(path, O_RDONLY);
	size = read(fd, used, sizeof(used) - 1);
	if (fd < 0 || size <= 0)
		err(70, "%s", path);
	used[size] = 0;
	close(fd);
	snprintf(path, sizeof(path), "%s/memory.max", cgroup);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, used, size) != size)
		err(70, "%s", path);
	return fd;
}

static void memory(const char *cgroup)
{
	struct vmm vmm;
	struct kvm_run *run;
	int vcpus[VCPUS];
	int i, max, taken = 0;

	write_file(cgroup, "cgroup.procs", "0");
	vmm = make_vm(0, cpuid_code, sizeof(cpuid_code), 1);
	for (i = 0; i < VCPUS; i++) {
		vcpus[i] = make_vcpu(&vmm, i, &run);
		ask(vcpus[i], 0, 0);
	}
	printf("vcpus %d\n", VCPUS);
	fflush(stdout);
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		err(70, "mlockall");
	max = limit(cgroup);
	for (i = 0; i < VCPUS; i++)
		taken += ask(vcpus[i], LEAF_EXTENSION, SNAPSHOT).rdx == 0;
	if (write(max, "max", 3) != 3)
		err(70, "memory.max");
	printf("taken %d\n", taken);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "capability"))
		capability();
	else if (argc == 3 && !strcmp(argv[1], "memory"))
		memory(argv[2]);
	else
		errx(64, "usage: limits capability | memory CGROUP");
	return 0;
}
