"""Photo sets of furniture whose cameras and shape are known."""
