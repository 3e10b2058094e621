"""Download larger public models and convert them for Triton: ``python -m export_models.pull list | NAME``."""
