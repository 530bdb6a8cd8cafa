"""The command line: one file a command. Large packages are imported when a command runs."""
