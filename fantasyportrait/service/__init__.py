"""The only door for command line, app and other programs: requests in, events and results out."""
