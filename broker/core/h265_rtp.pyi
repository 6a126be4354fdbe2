"""H.265 from RTP (RFC 7798): payloads in, access units in canonical form out."""

from broker.core.depacketiser import Depacketiser

class H265Depacketiser(Depacketiser): ...
