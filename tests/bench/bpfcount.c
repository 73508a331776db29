// SPDX-License-Identifier: GPL-2.0
/*
 * Counts and times VM exits by reason with BPF programs on KVM's two tracepoints,
 * as bcc's kvmexit does, without kprobes and without a compiler in the lab.  With the
 * word "keys" it counts them by reason and RIP too, and by what they were about.  Runs
 * until it gets SIGTERM, then prints "counted N ns M".  Static.
 */
#include <err.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/bpf.h>
#include <linux/perf_event.h>

#define EVENTS "/sys/kernel/tracing/events/kvm/"
#define ROWS 128

struct row {
	uint64_t exits, time;
};

/* What the first program leaves to the second, on one CPU. */
struct latest {
	uint64_t start, reason;
};

#define INSN(c, d, s, o, i)							\
	((struct bpf_insn){ .code = c, .dst_reg = d, .src_reg = s, .off = o, .imm = i })
#define MOV(d, s) INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define MOV_IMM(d, i) INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define ALU(op, d, s) INSN(BPF_ALU64 | op | BPF_X, d, s, 0, 0)
#define ALU_IMM(op, d, i) INSN(BPF_ALU64 | op | BPF_K, d, 0, 0, i)
#define LOAD(size, d, s, o) INSN(BPF_LDX | size | BPF_MEM, d, s, o, 0)
#define STORE(size, d, o, s) INSN(BPF_STX | size | BPF_MEM, d, s, o, 0)
#define JUMP_IMM(op, d, i, o) INSN(BPF_JMP | op | BPF_K, d, 0, o, i)
#define MAP(d, fd) INSN(BPF_LD | BPF_DW | BPF_IMM, d, BPF_PSEUDO_MAP_FD, 0, fd), INSN(0, 0, 0, 0, 0)
#define ADD_TO(d, o, s)	INSN(BPF_STX | BPF_DW | BPF_ATOMIC, d, s, o, BPF_ADD)
#define CALL(function) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, function)
#define EXIT INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
/* R0 = the map's element at the 32-bit index in the stack at -4. */
#define LOOK_UP(fd)								\
	MAP(1, fd), MOV(2, 10), ALU_IMM(BPF_ADD, 2, -4), CALL(BPF_FUNC_map_lookup_elem)

static volatile sig_atomic_t ended;

static void end(int signal)
{
	(void)signal;
	ended = 1;
}

static int bpf(int command, union bpf_attr *attr, const char *what)
{
	int result = syscall(SYS_bpf, command, attr, sizeof(*attr));

	if (result < 0)
		err(70, "%s", what);
	return result;
}

static int make_map(uint32_t type, uint32_t key, uint32_t size, uint32_t entries)
{
	union bpf_attr attr = {
		.map_type = type, .key_size = key, .value_size = size, .max_entries = entries,
	};

	return bpf(BPF_MAP_CREATE, &attr, "BPF_MAP_CREATE");
}

static int load(const struct bpf_insn *program, uint32_t length)
{
	static char log[65536];
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_TRACEPOINT, .insns = (uintptr_t)program,
		.insn_cnt = length, .license = (uintptr_t)"GPL", .log_buf = (uintptr_t)log,
		.log_size = sizeof(log), .log_level = 1,
	};
	int fd = syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));

	if (fd < 0)
		err(70, "BPF_PROG_LOAD: %s", log);
	return fd;
}

/* The number after `before` in a file of the event's. */
static int number(const char *event, const char *file, const char *before)
{
	char path[128], text[4096];
	const char *at;
	size_t length;
	FILE *from;

	snprintf(path, sizeof(path), EVENTS "%s/%s", event, file);
	from = fopen(path, "r");
	if (!from)
		err(70, "%s", path);
	length = fread(text, 1, sizeof(text) - 1, from);
	text[length] = 0;
	fclose(from);
	at = strstr(text, before);
	if (!at)
		errx(70, "%s has no '%s'", path, before);
	return atoi(at + strlen(before));
}

/* On every CPU. */
static void attach(const char *event, int program)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT, .size = sizeof(attr),
		.config = number(event, "id", ""), .sample_period = 1,
	};
	int cpu, fd;

	for (cpu = 0; cpu < sysconf(_SC_NPROCESSORS_ONLN); cpu++) {
		fd = syscall(SYS_perf_event_open, &attr, -1, cpu, -1, 0);
		if (fd < 0)
			err(70, "perf_event_open of %s", event);
		/* A tracepoint has one list of programs, whatever the CPU. */
		if (!cpu && ioctl(fd, PERF_EVENT_IOC_SET_BPF, program))
			err(70, "PERF_EVENT_IOC_SET_BPF");
		if (ioctl(fd, PERF_EVENT_IOC_ENABLE, 0))
			err(70, "PERF_EVENT_IOC_ENABLE");
	}
}

/* What an event is counted by: two of its fields, of 2, 4 or 8 bytes. */
struct keys {
	const char *event, *fields[2];
	int sizes[2];
};

static const struct keys keys[] = {
	{ "kvm_exit", { "unsigned int exit_reason;\toffset:", "unsigned long guest_rip;\toffset:" },
	  { BPF_W, BPF_DW } },
	{ "kvm_msr", { "u32 ecx;\toffset:", "unsigned write;\toffset:" }, { BPF_W, BPF_W } },
	{ "kvm_pio", { "unsigned int port;\toffset:", "unsigned int rw;\toffset:" },
	  { BPF_W, BPF_W } },
	{ "kvm_mmio", { "u64 gpa;\toffset:", "u32 type;\toffset:" }, { BPF_DW, BPF_W } },
	{ "kvm_page_fault", { "u64 fault_address;\toffset:", "u64 error_code;\toffset:" },
	  { BPF_DW, BPF_DW } },
	{ "kvm_cpuid", { "unsigned int function;\toffset:", "unsigned int index;\toffset:" },
	  { BPF_W, BPF_W } },
};

/* Count an event by these keys, in a hash map as bcc has them. */
static void count_by(const struct keys *by)
{
	int map = make_map(BPF_MAP_TYPE_HASH, 16, 8, 10240);
	int first = number(by->event, "format", by->fields[0]);
	int second = number(by->event, "format", by->fields[1]);
	const struct bpf_insn program[] = {
		LOAD(by->sizes[0], 2, 1, first), STORE(BPF_DW, 10, -16, 2),
		LOAD(by->sizes[1], 2, 1, second), STORE(BPF_DW, 10, -8, 2),
		MAP(1, map), MOV(2, 10), ALU_IMM(BPF_ADD, 2, -16),
		CALL(BPF_FUNC_map_lookup_elem),
		JUMP_IMM(BPF_JEQ, 0, 0, 4),
		MOV_IMM(1, 1), ADD_TO(0, 0, 1),
		MOV_IMM(0, 0), EXIT,
		MOV_IMM(1, 1), STORE(BPF_DW, 10, -24, 1),
		MAP(1, map), MOV(2, 10), ALU_IMM(BPF_ADD, 2, -16),
		MOV(3, 10), ALU_IMM(BPF_ADD, 3, -24), MOV_IMM(4, 0),
		CALL(BPF_FUNC_map_update_elem),
		MOV_IMM(0, 0), EXIT,
	};

	attach(by->event, load(program, sizeof(program) / sizeof(*program)));
}

static void print_sums(int rows)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	struct row *values = calloc(cpus > 8 ? cpus : 8, sizeof(*values)), sum = {};
	uint32_t key;
	long cpu;

	for (key = 0; key < ROWS; key++) {
		union bpf_attr attr = {
			.map_fd = rows, .key = (uintptr_t)&key, .value = (uintptr_t)values,
		};

		bpf(BPF_MAP_LOOKUP_ELEM, &attr, "BPF_MAP_LOOKUP_ELEM");
		for (cpu = 0; cpu < cpus; cpu++) {
			sum.exits += values[cpu].exits;
			sum.time += values[cpu].time;
		}
	}
	printf("counted %llu ns %llu\n", (unsigned long long)sum.exits,
	       (unsigned long long)sum.time);
	free(values);
}

int main(int argc, char **argv)
{
	int latest = make_map(BPF_MAP_TYPE_PERCPU_ARRAY, 4, sizeof(struct latest), 1);
	int rows = make_map(BPF_MAP_TYPE_PERCPU_ARRAY, 4, sizeof(struct row), ROWS);
	size_t i;
	int reason_at = number("kvm_exit", "format", "unsigned int exit_reason;\toffset:");
	const struct bpf_insn on_exit[] = {
		LOAD(BPF_W, 6, 1, reason_at),
		CALL(BPF_FUNC_ktime_get_ns), MOV(7, 0),
		MOV_IMM(1, 0), STORE(BPF_W, 10, -4, 1),
		LOOK_UP(latest),
		JUMP_IMM(BPF_JEQ, 0, 0, 2),
		STORE(BPF_DW, 0, 0, 7), STORE(BPF_DW, 0, 8, 6),
		MOV_IMM(0, 0), EXIT,
	};
	/* The exit counts when the guest is entered again, as with kvmexit. */
	const struct bpf_insn on_entry[] = {
		MOV_IMM(1, 0), STORE(BPF_W, 10, -4, 1),
		LOOK_UP(latest),
		JUMP_IMM(BPF_JEQ, 0, 0, 23),
		MOV(6, 0), LOAD(BPF_DW, 7, 6, 0),
		JUMP_IMM(BPF_JEQ, 7, 0, 20),
		MOV_IMM(1, 0), STORE(BPF_DW, 6, 0, 1),
		LOAD(BPF_DW, 1, 6, 8), ALU_IMM(BPF_AND, 1, ROWS - 1), STORE(BPF_W, 10, -4, 1),
		LOOK_UP(rows),
		JUMP_IMM(BPF_JEQ, 0, 0, 9),
		MOV(6, 0),
		LOAD(BPF_DW, 1, 6, 0), ALU_IMM(BPF_ADD, 1, 1), STORE(BPF_DW, 6, 0, 1),
		CALL(BPF_FUNC_ktime_get_ns), ALU(BPF_SUB, 0, 7),
		LOAD(BPF_DW, 1, 6, 8), ALU(BPF_ADD, 1, 0), STORE(BPF_DW, 6, 8, 1),
		MOV_IMM(0, 0), EXIT,
	};

	signal(SIGTERM, end);
	attach("kvm_exit", load(on_exit, sizeof(on_exit) / sizeof(*on_exit)));
	attach("kvm_entry", load(on_entry, sizeof(on_entry) / sizeof(*on_entry)));
	for (i = 0; argc > 1 && !strcmp(argv[1], "keys") && i < sizeof(keys) / sizeof(*keys); i++)
		count_by(&keys[i]);
	puts("attached");
	fflush(stdout);
	while (!ended)
		sleep(1);
	print_sums(rows);
	return 0;
}
