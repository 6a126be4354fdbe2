"""KEYFRAMES: exact join points only, at most so many a second. Nothing here is for use from Python."""
