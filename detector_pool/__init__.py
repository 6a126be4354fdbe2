"""Workers that run detectors over pictures."""
