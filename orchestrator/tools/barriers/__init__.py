"""Barriers that a process raises around itself before it handles untrusted input or executes an external program.

The modules import little, because each external program starts through ``launch``.
"""
