"""What drives a face: motion taken from a track, and built-in motions."""
