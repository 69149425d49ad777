"""Faults against the whole network, real processes and all: ``make chaos``, or ``python -m tests.chaos``."""
