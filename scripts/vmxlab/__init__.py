# SPDX-License-Identifier: GPL-2.0
"""What scripts/lab and its companions are made of: kernels, images, machines."""
