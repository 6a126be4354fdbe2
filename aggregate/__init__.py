"""Detector aggregate: inspections, the pool and the judge."""
