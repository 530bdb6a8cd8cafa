"""Components: each is a small dataclass of widgets with a function that makes it and one that wires it."""
