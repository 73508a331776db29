/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Sleeps for 100 ms, executes CPUID exactly COUNT times and ends. No C library: that
 * would ask for the CPU's features by CPUID before main().
 */
#ifndef COUNT
#define COUNT 1000
#endif
#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

__asm__(".globl _start, cpuid_at\n"
	"	.type _start, @function\n"
	"_start:\n"
	"	movl $35, %eax\n" /* nanosleep */
	"	leaq pause_for(%rip), %rdi\n"
	"	xorl %esi, %esi\n"
	"	syscall\n"
	"	movl $" TEXT(COUNT) ", %r12d\n"
	"1:	xorl %eax, %eax\n"
	"	xorl %ecx, %ecx\n"
	"cpuid_at:\n"
	"	cpuid\n"
	"	decl %r12d\n"
	"	jnz 1b\n"
	"	movl $60, %eax\n"
	"	xorl %edi, %edi\n"
	"	syscall\n"
	"	.size _start, . - _start\n"
	"pause_for:\n"
	"	.quad 0, 100000000\n");
