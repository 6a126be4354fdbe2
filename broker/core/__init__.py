"""Compiled core: RTP and bitstream, wire items, rings. No I/O and no event loop."""
