"""NAL units from RTP payloads: what H.264 and H.265 have in common in that."""

from broker.core.depacketiser import Depacketiser

class NalDepacketiser(Depacketiser): ...
