"""Recorder and archive: footage, its index, replay and exports."""
