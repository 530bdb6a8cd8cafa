"""What every room may know: errors, optional imports, geometry, cancellation."""
