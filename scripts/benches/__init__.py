# SPDX-License-Identifier: GPL-2.0
"""What accounting costs: the benchmark behind scripts/bench."""
