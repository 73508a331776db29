// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test the exit statistics: the CPUID leaves, KVM_CAP_X86_EXIT_STATS, the causes,
 * the binary statistics, and that VMs may end while the host's sum is read.
 */
#include <string.h>

#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"

#define LEAF_TOTAL	0x4fffffff
#define LEAF_EXITS	0x4ffffffd
#define LEAF_DISCOVERY	0x4ffffffb
#define LEAF_EXTENSION	0x4ffffffa
#define LEAF_CAUSES	0x4ffffff9

#define SNAPSHOT	(0x7fff << 16)
#define OF_SNAPSHOT	0x80000000
#define TOTAL		0xffff
#define UNDEFINED	0xffffffff
#define FIELD_EXITS	0
#define FIELD_CYCLES	1
#define WORD_EXITS	3
#define WORD_CYCLES	4

#define NR_CPUIDS	100

struct regs {
	u32 eax, ebx, ecx, edx;
};

static struct regs ask(u32 leaf, u32 subleaf)
{
	struct regs r;

	__cpuid(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx);
	return r;
}

static u64 figure(u32 reason, u32 field)
{
	struct regs r = ask(LEAF_EXTENSION, reason | field << 16 | OF_SNAPSHOT);

	GUEST_ASSERT_EQ(r.edx, 0);
	return (u64)r.ebx << 32 | r.eax;
}

static bool served(void)
{
	struct regs r = ask(LEAF_DISCOVERY, 0);

	return r.ebx == 0x454d564b && r.ecx == 0x53746978 && r.edx == 0x73746174;
}

static void check_snapshot(u32 nr_reasons, u32 cpuid)
{
	u64 exits = figure(0xfffc, FIELD_EXITS), cycles = figure(0xfffc, FIELD_CYCLES);
	u32 reason;

	for (reason = 0; reason < nr_reasons; reason++) {
		/* Skip what is not defined. */
		if (ask(LEAF_EXTENSION, reason | OF_SNAPSHOT).edx)
			continue;
		exits += figure(reason, FIELD_EXITS);
		cycles += figure(reason, FIELD_CYCLES);
	}
	GUEST_ASSERT_EQ(exits, figure(TOTAL, FIELD_EXITS));
	GUEST_ASSERT_EQ(cycles, figure(TOTAL, FIELD_CYCLES));
	GUEST_ASSERT(figure(cpuid, FIELD_EXITS) >= NR_CPUIDS);
}

static u64 word(u32 entry, u32 word)
{
	struct regs r = ask(LEAF_CAUSES, entry | word << 16 | OF_SNAPSHOT);

	GUEST_ASSERT(!r.edx);
	return r.eax | (u64)r.ebx << 32;
}

/*
 * Of the snapshot: entries and the rest are the total, and they have the loop's, whose
 * CPUID the compiler may have put in several places.
 */
static void check_causes(u32 cpuid)
{
	u64 exits = word(TOTAL, WORD_EXITS), cycles = word(TOTAL, WORD_CYCLES);
	u64 loop = 0;
	u32 i;

	for (i = 0; !ask(LEAF_CAUSES, i | OF_SNAPSHOT).edx; i++) {
		exits += word(i, WORD_EXITS);
		cycles += word(i, WORD_CYCLES);
		if ((u32)word(i, 0) == cpuid && !word(i, 1))
			loop += word(i, WORD_EXITS);
	}
	GUEST_ASSERT(loop >= NR_CPUIDS);
	GUEST_ASSERT_EQ(exits, figure(TOTAL, FIELD_EXITS));
	GUEST_ASSERT_EQ(cycles, figure(TOTAL, FIELD_CYCLES));
}

static void guest_code(u32 cpuid, u32 nr_reasons)
{
	struct regs r;
	u32 before;
	int i;

	GUEST_ASSERT(!served());
	GUEST_SYNC(1);
	GUEST_ASSERT(served());

	before = ask(LEAF_EXITS, cpuid).eax;
	for (i = 0; i < NR_CPUIDS; i++)
		ask(0, 0);
	GUEST_ASSERT_EQ(ask(LEAF_EXITS, cpuid).eax - before, NR_CPUIDS + 1);

	r = ask(LEAF_EXITS, 444);
	GUEST_ASSERT(!r.eax && !r.ebx && !r.ecx && r.edx == UNDEFINED);
	GUEST_ASSERT_EQ(ask(LEAF_EXTENSION, SNAPSHOT | OF_SNAPSHOT).edx, UNDEFINED);
	GUEST_ASSERT_EQ(ask(LEAF_EXTENSION, SNAPSHOT).eax, 1);
	check_snapshot(nr_reasons, cpuid);
	check_causes(cpuid);
	GUEST_DONE();
}

static void run_to_sync(struct kvm_vcpu *vcpu, u64 wanted)
{
	struct ucall uc;

	vcpu_run(vcpu);
	switch (get_ucall(vcpu, &uc)) {
	case UCALL_SYNC:
		TEST_ASSERT_EQ(uc.args[1], wanted);
		break;
	case UCALL_DONE:
		TEST_ASSERT_EQ(wanted, 0);
		break;
	case UCALL_ABORT:
		REPORT_GUEST_ASSERT(uc);
	default:
		TEST_FAIL("Unexpected ucall");
	}
}

static void test_stats(struct kvm_vcpu *vcpu, u32 cpuid)
{
	struct kvm_stats_header header;
	struct kvm_stats_desc *desc, *descs;
	u64 exits = 0;
	int fd = vcpu_get_stats_fd(vcpu);
	int i;

	read_stats_header(fd, &header);
	descs = read_stats_descriptors(fd, &header);
	for (i = 0; i < header.num_desc; i++) {
		u64 *data;

		desc = get_stats_descriptor(descs, i, &header);
		if (strcmp(desc->name, "exits_by_reason"))
			continue;
		data = calloc(desc->size, sizeof(*data));
		read_stat_data(fd, &header, desc, data, desc->size);
		exits = data[cpuid];
		free(data);
	}
	TEST_ASSERT(exits > NR_CPUIDS, "exits_by_reason has %lu CPUID exits", exits);
	free(descs);
	close(fd);
}

int main(int argc, char *argv[])
{
	const u32 cpuid = host_cpu_is_intel ? 10 : 0x72;
	const u32 nr_reasons = host_cpu_is_intel ? 86 : 0xa7;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	int i;

	vm = vm_create(1);
	TEST_REQUIRE(vm_check_cap(vm, KVM_CAP_X86_EXIT_STATS));
	TEST_ASSERT(__vm_enable_cap(vm, KVM_CAP_X86_EXIT_STATS, 4) < 0, "4 is no flag");
	vm_enable_cap(vm, KVM_CAP_X86_EXIT_STATS, KVM_X86_EXIT_STATS_CAUSES);
	vcpu = vm_vcpu_add(vm, 0, guest_code);
	vcpu_args_set(vcpu, 2, cpuid, nr_reasons);

	run_to_sync(vcpu, 1);
	vm_enable_cap(vm, KVM_CAP_X86_EXIT_STATS, KVM_X86_EXIT_STATS_LEAVES);
	run_to_sync(vcpu, 0);
	test_stats(vcpu, cpuid);
	kvm_vm_free(vm);

	/* The causes cannot come once there is a vCPU. */
	vm = vm_create_with_one_vcpu(&vcpu, guest_code);
	TEST_ASSERT(__vm_enable_cap(vm, KVM_CAP_X86_EXIT_STATS, KVM_X86_EXIT_STATS_CAUSES) < 0,
		    "The causes are kept from the first exit on, or not at all");
	kvm_vm_free(vm);

	/* Tables are allocated and freed with their vCPUs. */
	for (i = 0; i < 100; i++)
		kvm_vm_free(vm_create_with_one_vcpu(&vcpu, guest_code));
	return 0;
}
