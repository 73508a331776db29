// SPDX-License-Identifier: GPL-2.0
/*
 * Reads the exits of this guest as the course of fall 2022 lays them out:
 *
 *   0x4ffffffc  EAX        all exits
 *   0x4ffffffd  EBX:ECX    cycles of all exits
 *   0x4ffffffe  EAX        exits of the reason in ECX
 *   0x4fffffff  EBX:ECX    cycles of the reason in ECX
 *
 * A reason that the SDM does not define is answered by EDX = 0xffffffff.
 */
#include <cpuid.h>
#include <inttypes.h>
#include <stdio.h>

struct figures {
	unsigned int exits, undefined;
	uint64_t cycles;
};

/* The figures of two leaves: one has the count, the next the cycles. */
static struct figures ask(unsigned int leaf, unsigned int reason)
{
	struct figures found;
	unsigned int a, b, c, d;

	__cpuid_count(leaf, reason, a, b, c, d);
	found.exits = a;
	found.undefined = d == 0xffffffff;
	__cpuid_count(leaf + 1, reason, a, b, c, d);
	found.cycles = (uint64_t)b << 32 | c;
	return found;
}

int main(void)
{
	struct figures all = ask(0x4ffffffc, 0);

	printf("all %u %" PRIu64 "\n", all.exits, all.cycles);
	for (unsigned int reason = 0; reason < 70; reason++) {
		struct figures one = ask(0x4ffffffe, reason);

		if (one.undefined)
			printf("%u undefined\n", reason);
		else
			printf("%u %u %" PRIu64 "\n", reason, one.exits, one.cycles);
	}
	return 0;
}
