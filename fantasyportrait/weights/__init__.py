"""Model files: catalog, fetching, conversion and verification."""
