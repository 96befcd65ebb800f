"""Differential tests: what clients see of the embedded cluster beside what they saw of a real one."""
