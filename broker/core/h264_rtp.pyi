"""H.264 from RTP (RFC 6184): payloads in, access units in canonical form out."""

from broker.core.nal_rtp import NalDepacketiser

class H264Depacketiser(NalDepacketiser): ...
