"""The child process of ``tools.nerf``. Only it imports PyTorch."""
