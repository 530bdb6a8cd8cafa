"""Decoding in child processes with bounded memory, time and rights: for files of strangers."""
