"""H.264 from RTP (RFC 6184): payloads in, access units in canonical form out."""

from broker.core.depacketiser import Depacketiser

class H264Depacketiser(Depacketiser): ...
