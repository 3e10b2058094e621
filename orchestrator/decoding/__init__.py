"""Decodes and parses untrusted files in processes with limits on CPU time and memory, which are fair to tenants."""
