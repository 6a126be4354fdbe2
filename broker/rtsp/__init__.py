"""Our RTSP client: from a URL to access units. All is pure but `connection` and `play`."""
