// SPDX-License-Identifier: GPL-2.0
/*
 * Reads the exits of this guest as the course of spring 2022 lays them out:
 *
 *   0x4fffffff  EAX        all exits
 *   0x4ffffffe  EBX:ECX    cycles of all exits
 *   0x4ffffffd  EAX        exits of the reason in ECX
 *   0x4ffffffc  EBX:ECX    cycles of the reason in ECX
 *
 * A reason that the SDM does not define is answered by EDX = 0xffffffff.
 */
#include <cpuid.h>
#include <inttypes.h>
#include <stdio.h>

int main(void)
{
	unsigned int a, b, c, d, reason;

	__cpuid_count(0x4fffffff, 0, a, b, c, d);
	printf("all %u", a);
	__cpuid_count(0x4ffffffe, 0, a, b, c, d);
	printf(" %" PRIu64 "\n", (uint64_t)b << 32 | c);
	for (reason = 0; reason < 70; reason++) {
		__cpuid_count(0x4ffffffd, reason, a, b, c, d);
		if (d == 0xffffffff) {
			printf("%u undefined\n", reason);
			continue;
		}
		printf("%u %u", reason, a);
		__cpuid_count(0x4ffffffc, reason, a, b, c, d);
		printf(" %" PRIu64 "\n", (uint64_t)b << 32 | c);
	}
	return 0;
}
