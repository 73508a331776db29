# SPDX-License-Identifier: GPL-2.0
"""What scripts/lab and its companions are made of: tools, kernels, images, machines."""

from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
