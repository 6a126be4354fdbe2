"""Where access units come from: the notation of sources, and file sources. RTSP has a folder of its own."""
