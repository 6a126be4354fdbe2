"""LATEST: what is newest, in runs that decode. Nothing here is for use from Python."""
