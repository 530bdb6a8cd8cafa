"""Plain, frozen, checked data that every room may import."""
