"""The child process of ``tools.nerf``. It is the only code of the service that imports PyTorch."""
