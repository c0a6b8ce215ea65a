"""Functional forms of scaling laws: pure functions of arrays, one form a file."""
