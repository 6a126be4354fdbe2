"""Our RTSP client: from a URL to access units. All is pure but `dial`, `connection`, `udp`, `wires`, `pulse`, `play`."""
