"""The driving clips of a cast: the person chosen in each, the time line, the sound track, the side by side."""
