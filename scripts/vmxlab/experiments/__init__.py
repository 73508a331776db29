# SPDX-License-Identifier: GPL-2.0
"""Experiments in the lab: each makes a report, HTML and JSON, in a folder of its own."""
