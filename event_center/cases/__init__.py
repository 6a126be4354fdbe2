"""Cases: events, clips and notes that belong together, and what people found."""
