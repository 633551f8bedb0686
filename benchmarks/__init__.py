"""Measurements, beside a peer or a rule where there is one; none of them is a test."""
