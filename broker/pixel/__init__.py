"""Pixel host: decodes each camera once per machine, for all readers."""
