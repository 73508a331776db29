/* SPDX-License-Identifier: GPL-2.0 */
/* What the small VMMs of the tests share: each is one static program. */
#ifndef VMM_H
#define VMM_H

#include <err.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/kvm.h>

/* Where a guest's memory begins, and its first instruction is. */
#define GUEST_AT 0x1000
#define PORT 0x80

struct vmm {
	int kvm;
	int vm;
	uint8_t *memory;
	size_t run_size;
};

static inline int call(int fd, unsigned long request, void *argument, const char *what)
{
	int result = ioctl(fd, request, argument);

	if (result < 0)
		err(70, "%s", what);
	return result;
}

/* A VM of a type with so many pages of memory, of which the first holds this code. */
static inline struct vmm make_vm(unsigned long type, const void *code, size_t size,
				 unsigned int pages)
{
	struct kvm_userspace_memory_region region = {
		.guest_phys_addr = GUEST_AT, .memory_size = pages * 4096,
	};
	struct vmm vmm;

	vmm.kvm = open("/dev/kvm", O_RDWR);
	if (vmm.kvm < 0)
		err(70, "/dev/kvm");
	vmm.vm = call(vmm.kvm, KVM_CREATE_VM, (void *)type, "KVM_CREATE_VM");
	/* Real mode needs these where the hardware has no unrestricted guest. */
	ioctl(vmm.vm, KVM_SET_TSS_ADDR, 0xfffbd000UL);
	vmm.memory = mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (vmm.memory == MAP_FAILED)
		err(70, "mmap of the guest's memory");
	memcpy(vmm.memory, code, size);
	region.userspace_addr = (uintptr_t)vmm.memory;
	call(vmm.vm, KVM_SET_USER_MEMORY_REGION, &region, "KVM_SET_USER_MEMORY_REGION");
	vmm.run_size = call(vmm.kvm, KVM_GET_VCPU_MMAP_SIZE, NULL, "KVM_GET_VCPU_MMAP_SIZE");
	return vmm;
}

/* A vCPU of the VM, and what it shares with KVM. */
static inline int make_vcpu(const struct vmm *vmm, unsigned long number, struct kvm_run **run)
{
	int vcpu = call(vmm->vm, KVM_CREATE_VCPU, (void *)number, "KVM_CREATE_VCPU");

	*run = mmap(NULL, vmm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (*run == MAP_FAILED)
		err(70, "mmap of the vCPU");
	return vcpu;
}

/* The vCPU starts there, in real mode with all segments at 0. */
static inline void start_at(int vcpu, struct kvm_regs regs)
{
	struct kvm_sregs sregs;

	call(vcpu, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	call(vcpu, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS");
	regs.rip = GUEST_AT;
	regs.rflags = 2;
	call(vcpu, KVM_SET_REGS, &regs, "KVM_SET_REGS");
}

/* Flat 32-bit protected mode without paging. */
static inline void protected_mode(struct kvm_sregs *sregs)
{
	struct kvm_segment flat = {
		.limit = 0xffffffff, .present = 1, .s = 1, .db = 1, .g = 1,
	};

	flat.type = 11;
	flat.selector = 8;
	sregs->cs = flat;
	flat.type = 3;
	flat.selector = 16;
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = flat;
	sregs->cr0 |= 1;
}

/* Runs a command of the shell with the VM's folder below debugfs' kvm/ in $VM. */
static inline int run_command(const struct vmm *vmm, const char *command)
{
	char folder[32];

	fflush(stdout);
	snprintf(folder, sizeof(folder), "%d-%d", (int)getpid(), vmm->vm);
	setenv("VM", folder, 1);
	return system(command) ? 1 : 0;
}

#endif /* VMM_H */
