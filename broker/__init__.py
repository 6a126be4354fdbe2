"""Frame broker: owns the only connection to each camera and mints every frame once."""
