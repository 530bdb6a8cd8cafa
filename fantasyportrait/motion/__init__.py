"""Motion of faces: from a track, or built in."""
