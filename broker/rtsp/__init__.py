"""Our RTSP client: from a URL to access units. Messages, authentication and SDP are pure; only `connection` has a socket."""
