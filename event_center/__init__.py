"""Events: what happened that a human may have to know."""
