"""Detectors that are ONNX graphs brought by users: objects, poses, clips.

A graph is loaded once a process for all cameras (`shared.py`), runs on the provider that really runs (`graph.py`), in
batches where cameras meet (`gathering.py`), on pictures prepared once for all detectors (`prepare.py`). What it puts
out is read by the decoder that `detector.toml` names (`decoders/`). The detectors themselves: `objects.py`, `pose.py`,
`clip.py`. Importing this package imports no runtime: that is loaded when a detector is made.
"""
