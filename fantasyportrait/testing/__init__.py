"""Tiny networks and checkpoints (real classes, made small), for tests and for trying the library out."""
