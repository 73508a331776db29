// SPDX-License-Identifier: GPL-2.0
/*
 * One fault of each kind that a debug kernel looks for, which shows that it looks.
 * Loading the module makes the one that `fault` names, and fails with EAGAIN.
 */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>

static char *fault = "";
module_param(fault, charp, 0444);
MODULE_PARM_DESC(fault, "free, bounds, shift, leak, sleep, rcu, locks or race");

/* What the compiler must not see through. */
static volatile int shift_by = 40;
static int shared;
static int __rcu *guarded;
static DEFINE_SPINLOCK(lock);
static DEFINE_MUTEX(one);
static DEFINE_MUTEX(other);

/* KASAN: memory that was freed, and memory behind what was allocated. */
static noinline void plant_free(void)
{
	char *memory = kmalloc(64, GFP_KERNEL);

	kfree(memory);
	OPTIMIZER_HIDE_VAR(memory);
	if (memory)
		WRITE_ONCE(shared, READ_ONCE(memory[8]));
}

static noinline void plant_bounds(void)
{
	char *memory = kmalloc(100, GFP_KERNEL);

	OPTIMIZER_HIDE_VAR(memory);
	if (memory)
		WRITE_ONCE(shared, READ_ONCE(memory[100]));
	kfree(memory);
}

/* UBSAN */
static noinline void plant_shift(void)
{
	shared = 1 << shift_by;
}

/* kmemleak */
static noinline void plant_leak(void)
{
	int i;

	/* Some address may lie about on a stack. */
	for (i = 0; i < 10; i++)
		WRITE_ONCE(shared, !!kmalloc(1000 + i, GFP_KERNEL));
}

/* DEBUG_ATOMIC_SLEEP */
static noinline void plant_sleep(void)
{
	spin_lock(&lock);
	msleep(20);
	spin_unlock(&lock);
}

/* PROVE_RCU */
static noinline void plant_rcu(void)
{
	WRITE_ONCE(shared, !!rcu_dereference(guarded));
}

/* PROVE_LOCKING */
static noinline void plant_locks(void)
{
	mutex_lock(&one);
	mutex_lock(&other);
	mutex_unlock(&other);
	mutex_unlock(&one);
	mutex_lock(&other);
	mutex_lock(&one);
	mutex_unlock(&one);
	mutex_unlock(&other);
}

/* KCSAN */
static int race(void *unused)
{
	while (!kthread_should_stop()) {
		shared++;
		barrier();
		cond_resched();
	}
	return 0;
}

static noinline void plant_race(void)
{
	struct task_struct *racers[2];
	int i;

	for (i = 0; i < 2; i++)
		racers[i] = kthread_run(race, NULL, "racer/%d", i);
	msleep(2000);
	for (i = 0; i < 2; i++)
		if (!IS_ERR(racers[i]))
			kthread_stop(racers[i]);
}

static const struct {
	const char *name;
	void (*plant)(void);
} faults[] = {
	{ "free", plant_free }, { "bounds", plant_bounds }, { "shift", plant_shift },
	{ "leak", plant_leak }, { "sleep", plant_sleep }, { "rcu", plant_rcu },
	{ "locks", plant_locks }, { "race", plant_race },
};

static int __init planted_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(faults); i++) {
		if (!strcmp(fault, faults[i].name)) {
			faults[i].plant();
			return -EAGAIN;
		}
	}
	pr_err("planted: no such fault: %s\n", fault);
	return -EINVAL;
}
module_init(planted_init);

MODULE_DESCRIPTION("Faults for a debug kernel to find");
MODULE_LICENSE("GPL");
