"""Scenes alive at a small size: their loops, the gallery of motions, the estimate of a run, and the presenter mode."""
