"""Our RTSP client: from a URL to access units. Pure but for `dial`, `connection`, `udp`, `wires`, `pulse`, `play`."""
