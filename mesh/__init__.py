"""What every service stands on: configuration, security, gRPC set-up, bus, store, clocks, ids. Knows no domain."""
