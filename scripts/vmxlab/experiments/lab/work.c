// SPDX-License-Identifier: GPL-2.0
// Work for a nested guest: `work WHAT`.
//   cpuid, lfence  reads the TSC 16,000 times, ordered by that instruction
//   polls          sleeps for 50 microseconds 4,000 times, as a program does that polls
//   waits          sleeps once, for as long as all of these together
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void by_cpuid(void)
{
	uint32_t eax = 0, ebx, ecx = 0, edx;

	asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx) : : "memory");
}

static void by_lfence(void)
{
	asm volatile("lfence" : : : "memory");
}

static int read_times(void (*order)(void))
{
	uint64_t last = 0;

	for (int i = 0; i < 16000; i++) {
		uint32_t low, high;

		order();
		asm volatile("rdtsc" : "=a"(low), "=d"(high));
		uint64_t now = (uint64_t)high << 32 | low;

		if (now < last)
			return 1;
		last = now;
	}
	return 0;
}

static int sleep_for(int times, long microseconds)
{
	const struct timespec time = { .tv_nsec = 1000 * microseconds };

	while (times--)
		nanosleep(&time, NULL);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc == 2 ? argv[1] : "";

	if (!strcmp(what, "cpuid"))
		return read_times(by_cpuid);
	if (!strcmp(what, "lfence"))
		return read_times(by_lfence);
	if (!strcmp(what, "polls"))
		return sleep_for(4000, 50);
	if (!strcmp(what, "waits"))
		return sleep_for(1, 4000 * 50);
	fprintf(stderr, "usage: work cpuid|lfence|polls|waits\n");
	return 64;
}
