// SPDX-License-Identifier: GPL-2.0
/* What vmx_exits knows KVM by, a device and two tracepoints, and none of its functions. */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/tracepoint.h>

DECLARE_TRACE(kvm_entry, TP_PROTO(void *vcpu), TP_ARGS(vcpu));
DECLARE_TRACE(kvm_exit, TP_PROTO(void *vcpu), TP_ARGS(vcpu));
DEFINE_TRACE(kvm_entry, TP_PROTO(void *vcpu), TP_ARGS(vcpu));
DEFINE_TRACE(kvm_exit, TP_PROTO(void *vcpu), TP_ARGS(vcpu));
EXPORT_TRACEPOINT_SYMBOL_GPL(kvm_entry);
EXPORT_TRACEPOINT_SYMBOL_GPL(kvm_exit);

static const struct file_operations unknown_fops = {
	.owner = THIS_MODULE,
};

static struct miscdevice unknown_device = {
	.minor = KVM_MINOR,
	.name = "kvm",
	.fops = &unknown_fops,
};

module_misc_device(unknown_device);
MODULE_DESCRIPTION("A KVM that nobody knows");
MODULE_LICENSE("GPL");
