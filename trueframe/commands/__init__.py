"""The commands, one module each; every module has a `command`. Nothing is imported here: help stays instant."""
