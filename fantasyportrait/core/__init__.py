"""Helpers for every room: errors, optional imports, geometry, cancellation, files and caches."""
