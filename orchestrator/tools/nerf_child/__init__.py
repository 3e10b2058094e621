"""The child process of ``tools.nerf``: ``python -m orchestrator.tools.nerf_child JOB.json``.

It is the only code of the service that imports PyTorch.
"""
