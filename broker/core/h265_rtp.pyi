"""H.265 from RTP (RFC 7798): payloads in, access units in canonical form out."""

from broker.core.nal_rtp import NalDepacketiser

class H265Depacketiser(NalDepacketiser): ...
