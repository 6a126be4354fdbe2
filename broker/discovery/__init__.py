"""Which cameras the network has, and what a source would give: WS-Discovery, ONVIF, probing. Nothing is stored."""
