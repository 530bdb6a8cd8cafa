"""Presenter mode: a scene drawn a frame at a time, one face of which a camera drives live."""
