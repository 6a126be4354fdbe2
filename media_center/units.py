"""What footage takes from the broker: frames as they come over the wire, and the two forms of a payload."""

from broker.core.annexb import from_length_prefixed, to_length_prefixed
from broker.core.wire import BatchReader, WireFrame, encode_frame, encode_item

__all__ = ["BatchReader", "WireFrame", "encode_frame", "encode_item", "from_length_prefixed", "to_length_prefixed"]
