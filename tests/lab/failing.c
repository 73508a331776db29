// SPDX-License-Identifier: GPL-2.0
/*
 * Lets each allocation fail, one after the other, that something with exit statistics makes.
 *
 * Usage: failing FOLDER
 *
 * The kernel lets the Nth allocation of this thread alone fail (/proc/self/fail-nth), for N
 * from 1 on, until the thing makes fewer than N. Printed is "NAME N ERROR" for each, where
 * ERROR is "-" if the thing was done all the same, and at last "NAME done N ERROR", when
 * nothing had failed. Things are: to make a VM with a vCPU; to let the vCPU run for the first
 * time; to let its guest take its first snapshot; and to open, read and reset each file of exit
 * statistics below FOLDER in debugfs.
 */
#define _GNU_SOURCE
#include <errno.h>

#include "vmm.h"

#define LEAF_EXTENSION 0x4ffffffa
#define SNAPSHOT (0x7fff << 16)
/* What is tried at most; no thing makes so many. */
#define MOST 2000

static const uint8_t cpuid_code[] = { 0x0f, 0xa2, 0xf4 };	/* cpuid; hlt */

static const char *folder;
static struct vmm vmm;
static struct kvm_run *run;
static int vcpu, nth;
static char path[256];

static void let_fail(int n)
{
	char text[16];
	int size = snprintf(text, sizeof(text), "%d", n);

	if (pwrite(nth, text, size, 0) != size)
		err(70, "/proc/self/fail-nth");
}

/* Whether it has failed; none does from now on. */
static int has_failed(void)
{
	char text[16] = "";
	int left;

	if (pread(nth, text, sizeof(text) - 1, 0) <= 0)
		err(70, "/proc/self/fail-nth");
	left = atoi(text);
	let_fail(0);
	return !left;
}

static void make_it(void)
{
	vmm = make_vm(0, cpuid_code, sizeof(cpuid_code), 1);
	vcpu = make_vcpu(&vmm, 0, &run);
}

static void end_it(void)
{
	munmap(run, vmm.run_size);
	munmap(vmm.memory, 4096);
	close(vcpu);
	close(vmm.vm);
	close(vmm.kvm);
}

/* What the vCPU asks next. */
static void ask(uint32_t leaf, uint32_t subleaf)
{
	start_at(vcpu, (struct kvm_regs) { .rax = leaf, .rcx = subleaf });
}

static int run_vcpu(void)
{
	return ioctl(vcpu, KVM_RUN, NULL);
}

static void make_asking(void)
{
	make_it();
	ask(0, 0);
}

static void make_running(void)
{
	make_asking();
	if (run_vcpu())
		err(70, "KVM_RUN");
	ask(LEAF_EXTENSION, SNAPSHOT);
}

/* A selector that is not there is answered by all ones in EDX. */
static int no_snapshot(void)
{
	struct kvm_regs regs;

	call(vcpu, KVM_GET_REGS, &regs, "KVM_GET_REGS");
	return regs.rdx ? ENOMEM : 0;
}

static int make_and_end(void)
{
	int vm, made, saved;

	vm = ioctl(vmm.kvm, KVM_CREATE_VM, 0);
	if (vm < 0)
		return -1;
	made = ioctl(vm, KVM_CREATE_VCPU, 0);
	saved = errno;
	if (made >= 0)
		close(made);
	close(vm);
	errno = saved;
	return made;
}

static int read_file(void)
{
	static char text[65536];
	int saved, fd = open(path, O_RDONLY);
	ssize_t got;

	if (fd < 0)
		return -1;
	do {
		got = read(fd, text, sizeof(text));
	} while (got > 0);
	saved = errno;
	close(fd);
	errno = saved;
	return got;
}

static int reset(void)
{
	int saved, r, fd = open(path, O_WRONLY);

	if (fd < 0)
		return -1;
	r = write(fd, "0", 1);
	saved = errno;
	close(fd);
	errno = saved;
	return r;
}

static void none(void)
{
}

static int nothing(void)
{
	return 0;
}

/* @error tells what is wrong though the thing was done. */
static void each(const char *name, void (*begin)(void), int (*thing)(void), int (*error)(void),
		 void (*end)(void))
{
	int n, r, failed = 1;

	for (n = 1; failed; n++) {
		if (n > MOST)
			errx(70, "%s makes more than %d allocations", name, MOST);
		begin();
		let_fail(n);
		r = thing();
		r = r < 0 ? errno : 0;
		failed = has_failed();
		r = r ?: error();
		end();
		printf("%s %s%d %s\n", name, failed ? "" : "done ", n, r ? strerrorname_np(r) : "-");
	}
}

static void each_file(const char *of, const char *name)
{
	char label[64];

	snprintf(path, sizeof(path), "%s/%s%s", folder, of, name);
	if (access(path, F_OK))
		return;
	snprintf(label, sizeof(label), "read%s:%s", *of ? "-vm" : "", name);
	each(label, none, read_file, nothing, none);
	if (strcmp(name, "exit_stats_raw"))
		return;
	snprintf(label, sizeof(label), "reset%s:%s", *of ? "-vm" : "", name);
	each(label, none, reset, nothing, none);
}

int main(int argc, char **argv)
{
	char of[32];

	if (argc != 2)
		errx(64, "usage: failing FOLDER");
	folder = argv[1];
	nth = open("/proc/thread-self/fail-nth", O_RDWR);
	if (nth < 0)
		err(70, "/proc/thread-self/fail-nth");
	make_running();
	snprintf(of, sizeof(of), "%d-%d/", (int)getpid(), vmm.vm);
	each_file("", "exit_stats_raw");
	each_file(of, "exit_stats_raw");
	each_file(of, "exit_stats_vcpus");
	each_file(of, "exit_stats_causes");
	each("make", none, make_and_end, nothing, none);
	end_it();
	each("run", make_asking, run_vcpu, nothing, end_it);
	each("snapshot", make_running, run_vcpu, no_snapshot, end_it);
	return 0;
}
