"""JPEG from RTP (RFC 2435): payloads in, complete JPEG files out."""

from broker.core.depacketiser import Depacketiser

def quantisation_tables(quality: int) -> bytes: ...

class JpegDepacketiser(Depacketiser):
    def set_size(self, width: int, height: int) -> None: ...
