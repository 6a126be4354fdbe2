"""What people make of events: who owns one, what they call it, deeds on many at once, taking a deed back."""
