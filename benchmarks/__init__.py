"""Measurements of what the kit promises, each beside what a user would pick instead, in the same run.

`python -m benchmarks [NAME ...] [--runs N] [--write]` prints a table; `--write` puts it into benchmarks/README.md.
"""
