"""Pictures of real furniture models, path-traced with their ground truth, for the benchmarks."""
