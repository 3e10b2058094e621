"""The process that learns a radiance field, ``python -m orchestrator.tools.nerf_child JOB.json``: all of torch."""
