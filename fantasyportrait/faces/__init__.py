"""Faces of photos and tracks of people through clips."""
