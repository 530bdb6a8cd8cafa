"""A scene goes in, frames come out: the protocol of an engine, and the engines preview and wan."""
