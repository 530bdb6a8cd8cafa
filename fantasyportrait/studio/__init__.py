"""The state of each visitor of the app, on the server: photo, cast, clips, jobs and results. No web framework."""
