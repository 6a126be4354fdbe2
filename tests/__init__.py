"""Tests of trueframe."""
