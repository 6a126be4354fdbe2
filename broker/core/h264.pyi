"""What an H.264 access unit says of itself: parameter sets, picture size, whether decoding can begin at it."""

from broker.core.inspector import Inspector

class H264Inspector(Inspector): ...
