"""Model files: what they are, where they come from, and that they are the right ones."""
