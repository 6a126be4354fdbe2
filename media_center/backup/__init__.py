"""Copies of footage that outlive its disk. What others may import stands in `client`."""
