"""Path-traced images of furniture models with ground truth, for the benchmarks."""
