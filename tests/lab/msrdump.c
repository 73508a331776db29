// SPDX-License-Identifier: GPL-2.0
/*
 * The independent reader of the lab tests: `msrdump [CPU]` prints what
 * /dev/cpu/N/msr gives for every VMX capability MSR of that CPU or of all that
 * are online, one line each:
 *
 *   cpu 0 msr 0x480 0xda040000000004
 *   cpu 0 msr 0x492 fault
 *
 * It shares nothing with the tables of src/, not even the list of numbers, and
 * knows no rule by which an MSR exists: it reads them all. Build it statically
 * (cc -static -O2 -Wall -Wextra -o msrdump msrdump.c). Exit status: 0; 1 if
 * there is no CPU to read or a read failed otherwise than by #GP.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const uint32_t numbers[] = {
	0x03a, 0x480, 0x481, 0x482, 0x483, 0x484, 0x485, 0x486, 0x487, 0x488, 0x489,
	0x48a, 0x48b, 0x48c, 0x48d, 0x48e, 0x48f, 0x490, 0x491, 0x492, 0x493,
};

/* The highest CPU number that is tried; a CPU that is offline is passed over. */
#define LAST_CPU 1023

/* Returns 0, or -1 after an error other than a fault of RDMSR. */
static int dump(int fd, int cpu)
{
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		uint64_t value;
		ssize_t got = pread(fd, &value, sizeof(value), numbers[i]);

		printf("cpu %d msr 0x%" PRIx32, cpu, numbers[i]);
		if (got == sizeof(value)) {
			printf(" 0x%" PRIx64 "\n", value);
		} else if (got < 0 && errno == EIO) {
			printf(" fault\n");
		} else {
			printf(" error\n");
			fprintf(stderr, "msrdump: cpu %d, MSR 0x%" PRIx32 ": %s\n", cpu, numbers[i],
				got < 0 ? strerror(errno) : "short read");
			return -1;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	int first = argc > 1 ? atoi(argv[1]) : 0;
	int last = argc > 1 ? first : LAST_CPU;
	int found = 0;
	int failed = 0;

	if (argc > 2 || first < 0 || first > LAST_CPU) {
		fprintf(stderr, "usage: msrdump [CPU]\n");
		return 1;
	}
	for (int cpu = first; cpu <= last; cpu++) {
		char path[sizeof("/dev/cpu/2147483647/msr")];
		int fd;

		snprintf(path, sizeof(path), "/dev/cpu/%d/msr", cpu);
		fd = open(path, O_RDONLY);
		if (fd < 0 && (errno == ENOENT || errno == ENXIO))
			continue;
		if (fd < 0) {
			fprintf(stderr, "msrdump: %s: %s\n", path, strerror(errno));
			return 1;
		}
		found = 1;
		failed |= dump(fd, cpu) != 0;
		close(fd);
	}
	if (!found)
		fprintf(stderr, "msrdump: no /dev/cpu/N/msr, is the msr driver there?\n");
	return !found || failed;
}
