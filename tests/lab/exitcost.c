// SPDX-License-Identifier: GPL-2.0
/*
 * Prints what a CPUID costs where it exits, in counts of the TSC: the least
 * and the median of many rounds, each timed by itself, so that an interrupt in
 * one of them does not change the figures. Runs in L2 and in L1.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { WARM_UP = 200, ROUNDS = 4000 };

static uint64_t took[ROUNDS];

static uint64_t read_tsc(void)
{
	uint32_t low, high;

	/* LFENCE: not before what precedes it has been executed. */
	asm volatile("lfence; rdtsc; lfence" : "=a" (low), "=d" (high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static uint64_t round_trip(void)
{
	uint32_t eax = 0, ecx = 0;
	uint64_t start = read_tsc();

	asm volatile("cpuid" : "+a" (eax), "+c" (ecx) : : "ebx", "edx", "memory");
	return read_tsc() - start;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

int main(void)
{
	cpu_set_t first;
	int i;

	CPU_ZERO(&first);
	CPU_SET(0, &first);
	if (sched_setaffinity(0, sizeof(first), &first)) {
		perror("exitcost: sched_setaffinity");
		return 1;
	}

	for (i = 0; i < WARM_UP; i++)
		round_trip();
	for (i = 0; i < ROUNDS; i++)
		took[i] = round_trip();

	qsort(took, ROUNDS, sizeof(took[0]), by_size);
	printf("cpuid rounds %d min %llu median %llu p99 %llu\n", ROUNDS,
	       (unsigned long long)took[0], (unsigned long long)took[ROUNDS / 2],
	       (unsigned long long)took[ROUNDS * 99 / 100]);
	return 0;
}
