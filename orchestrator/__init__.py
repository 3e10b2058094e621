"""Heartwood: photos of furniture in, masks, PBR maps and stained pictures out."""
