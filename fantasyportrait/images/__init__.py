"""Still and animated pictures, from files or from memory (Pillow)."""
