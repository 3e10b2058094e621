"""Photo sets of furniture with known cameras and shape."""
