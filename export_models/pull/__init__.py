"""Download larger public models and convert them for Triton; ``heartwood models pull`` runs it in a child process."""
