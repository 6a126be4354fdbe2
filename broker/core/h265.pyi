"""What an H.265 access unit says of itself: parameter sets, picture size, whether decoding can begin at it."""

from broker.core.inspector import Inspector

class H265Inspector(Inspector): ...
