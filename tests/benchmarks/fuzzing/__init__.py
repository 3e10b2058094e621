"""Generates mutated inputs, and checks what the service does with them. See ``tests.benchmarks.fuzz``."""
