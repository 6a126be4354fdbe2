"""How people hold themselves and move, against what a camera's own footage showed. Code of the detector `posture`."""
