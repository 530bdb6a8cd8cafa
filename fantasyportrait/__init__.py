"""FantasyPortrait: a photo, a driving clip for each face, and out comes a video. Importing this loads nothing heavy."""

__version__ = "0.2.0.dev0"
