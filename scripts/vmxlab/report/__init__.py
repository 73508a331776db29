# SPDX-License-Identifier: GPL-2.0
"""Pages and pictures that stand alone: of the experiments, the benchmark, and a terminal."""
