"""Reports: what happened in a time, how fast people answered, how much was false, what was watched."""
