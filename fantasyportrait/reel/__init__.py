"""Finished videos cut into one: titles, cross-fades, captions, music (moviepy)."""
