# SPDX-License-Identifier: GPL-2.0
"""What the programs in scripts/ are made of: kernels, machines, experiments, the benchmark."""

from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
