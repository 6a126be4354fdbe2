"""Bit-level reading of H.265, for the compiled core only: nothing here is visible to Python."""
