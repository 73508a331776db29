/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What hooked functions of KVM call first, by ftrace's direct calls: here the top
 * of the stack is where the function goes on, and below it where it returns to.
 * The arguments must be left as they are.
 */
#include <linux/linkage.h>
#include <linux/objtool.h>

#include <asm/nospec-branch.h>
#include <asm/unwind_hints.h>

#include "../exit_stats.h"

#ifndef CALL_DEPTH_ACCOUNT
#define CALL_DEPTH_ACCOUNT
#endif

.macro SAVE_ARGUMENTS
	pushq	%rdi
	pushq	%rsi
	pushq	%rdx
	pushq	%rcx
	pushq	%r8
	pushq	%r9
.endm

.macro RESTORE_ARGUMENTS
	popq	%r9
	popq	%r8
	popq	%rcx
	popq	%rdx
	popq	%rsi
	popq	%rdi
.endm

	.text

/*
 * Calls vmx_exits_called(first argument, address where the function goes on), but for
 *
 * bool kvm_cpuid(vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx, bool exact_only):
 * for our leaves vmx_exits_cpuid() with the same arguments, and if that returns true,
 * KVM's function does not run.
 */
SYM_FUNC_START(vmx_exits_trampoline)
	ANNOTATE_NOENDBR	/* ftrace's calls are direct */
	movq	(%rsp), %rax
	cmpq	vmx_exits_goes_on(%rip), %rax
	je	.Lcpuid
	SAVE_ARGUMENTS
	movq	%rax, %rsi
	CALL_DEPTH_ACCOUNT
	call	vmx_exits_called
	RESTORE_ARGUMENTS
	RET
.Lcpuid:
	movl	(%rsi), %eax
	subl	$EXIT_STATS_FIRST_LEAF, %eax
	cmpl	$(EXIT_STATS_LAST_LEAF - EXIT_STATS_FIRST_LEAF), %eax
	jbe	.Lours
	RET
.Lours:
	SAVE_ARGUMENTS
	CALL_DEPTH_ACCOUNT
	call	vmx_exits_cpuid
	RESTORE_ARGUMENTS
	testb	%al, %al
	jnz	.Lserved
	RET
.Lserved:
	addq	$8, %rsp
	UNWIND_HINT_FUNC
	RET
SYM_FUNC_END(vmx_exits_trampoline)
