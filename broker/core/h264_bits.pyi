"""Bit-level reading of H.264, for the compiled core only: nothing here is visible to Python."""
