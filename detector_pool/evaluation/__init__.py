"""How good a detector is on labelled clips: reading a benchmark's folder, running a detector over it, the measures."""
