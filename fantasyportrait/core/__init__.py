"""The base that every room may import: errors, optional imports, geometry, cancellation."""
