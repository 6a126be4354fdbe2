"""The face of trueframe. Imports nothing eagerly: the supervisor must stay free of gRPC."""
