// SPDX-License-Identifier: GPL-2.0
/*
 * vmx_exits: counts and times every VM exit beside an unmodified KVM.
 *
 * It may be loaded and unloaded while VMs run.  It refuses what it would get
 * wrong.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include <asm/cpufeature.h>

#include "vmx_exits.h"

u32 vmx_exits_vendor;

bool vmx_exits_hist = true;
module_param_named(hist, vmx_exits_hist, bool, 0644);
MODULE_PARM_DESC(hist, "Histograms of exit handling times, of VMs that are met from now on");

bool vmx_exits_causes;
module_param_named(causes, vmx_exits_causes, bool, 0644);
MODULE_PARM_DESC(causes, "Keep the causes of exits too, of VMs that are met from now on");

/* A parameter that is one of a few words. */
struct vmx_exits_choice {
	const char *const *words;
	size_t count;
	unsigned int *value;
};

static int vmx_exits_set_choice(const char *val, const struct kernel_param *kp)
{
	const struct vmx_exits_choice *choice = kp->arg;
	int word = __sysfs_match_string(choice->words, choice->count, val);

	if (word < 0)
		return word;

	WRITE_ONCE(*choice->value, word);
	return 0;
}

static int vmx_exits_get_choice(char *buffer, const struct kernel_param *kp)
{
	const struct vmx_exits_choice *choice = kp->arg;

	return sysfs_emit(buffer, "%s\n", choice->words[READ_ONCE(*choice->value)]);
}

static const struct kernel_param_ops vmx_exits_choice_ops = {
	.set = vmx_exits_set_choice,
	.get = vmx_exits_get_choice,
};

static const char *const vmx_exits_guest_words[] = { "off", "vmm", "vm" };
unsigned int vmx_exits_guest = VMX_EXITS_GUEST_VM;
static const struct vmx_exits_choice vmx_exits_guest_choice = {
	vmx_exits_guest_words, ARRAY_SIZE(vmx_exits_guest_words), &vmx_exits_guest,
};

module_param_cb(guest, &vmx_exits_choice_ops, (void *)&vmx_exits_guest_choice, 0644);
__MODULE_PARM_TYPE(guest, "charp");
MODULE_PARM_DESC(guest, "Guests may read their exits: off, vmm (once its file in debugfs says so), vm (unless that says no)");

static const char *const vmx_exits_layout_words[] = { "spring22", "fall22", "combined" };
unsigned int vmx_exits_layout;
static const struct vmx_exits_choice vmx_exits_layout_choice = {
	vmx_exits_layout_words, ARRAY_SIZE(vmx_exits_layout_words), &vmx_exits_layout,
};

module_param_cb(layout, &vmx_exits_choice_ops, (void *)&vmx_exits_layout_choice, 0644);
__MODULE_PARM_TYPE(layout, "charp");
MODULE_PARM_DESC(layout, "Leaves 0x4ffffffc to f, in VMs that are met from now on: spring22, fall22 or combined");

/* As long as this is open, neither kvm nor kvm_intel or kvm_amd can be unloaded. */
static struct file *vmx_exits_dev_kvm;

/*
 * With the enlightened VMCS of Hyper-V there is no current VMCS to read from, and
 * nobody but kvm_intel knows whether it uses that.
 */
static bool vmx_exits_enlightened(void)
{
	struct file *file = filp_open("/sys/module/kvm_intel/parameters/enlightened_vmcs",
				      O_RDONLY, 0);
	loff_t pos = 0;
	char said = 'N';

	if (IS_ERR(file))
		return false;
	kernel_read(file, &said, 1, &pos);
	filp_close(file, NULL);
	return said == 'Y';
}

static int __init vmx_exits_init(void)
{
	int r;

	if (!boot_cpu_has(X86_FEATURE_VMX) && !boot_cpu_has(X86_FEATURE_SVM)) {
		pr_err("this CPU has neither VMX nor SVM\n");
		return -ENODEV;
	}
	vmx_exits_vendor = boot_cpu_has(X86_FEATURE_VMX) ? EXIT_STATS_VMX : EXIT_STATS_SVM;

	if (vmx_exits_has_function("kvm_exit_stats_cpuid")) {
		pr_err("this KVM counts its exits itself: see kvm/exit_stats_raw in debugfs\n");
		return -EBUSY;
	}
	if (vmx_exits_enlightened()) {
		pr_err("KVM uses Hyper-V's enlightened VMCS, where exits cannot be read: load %s\n",
		       "kvm_intel with enlightened_vmcs=0");
		return -EOPNOTSUPP;
	}
	vmx_exits_dev_kvm = filp_open("/dev/kvm", O_RDWR | O_CLOEXEC, 0);
	if (IS_ERR(vmx_exits_dev_kvm)) {
		pr_err("KVM is not loaded (/dev/kvm: error %ld): load kvm_intel or kvm_amd first\n",
		       PTR_ERR(vmx_exits_dev_kvm));
		return -ENODEV;
	}
	r = vmx_exits_begin();
	if (r)
		goto close;
	vmx_exits_create_debugfs();
	r = vmx_exits_hook();
	if (!r)
		return 0;

	vmx_exits_remove_debugfs();
	vmx_exits_end_all();
close:
	filp_close(vmx_exits_dev_kvm, NULL);
	return r;
}

static void __exit vmx_exits_exit(void)
{
	vmx_exits_unhook();
	vmx_exits_remove_debugfs();
	vmx_exits_end_all();
	filp_close(vmx_exits_dev_kvm, NULL);
}

module_init(vmx_exits_init);
module_exit(vmx_exits_exit);

MODULE_DESCRIPTION("Counts and times VM exits beside an unmodified KVM");
MODULE_LICENSE("GPL");
/* modprobe loads KVM first; insmod leaves it to the user. */
MODULE_SOFTDEP("pre: kvm_intel kvm_amd");
