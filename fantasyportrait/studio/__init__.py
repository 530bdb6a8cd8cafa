"""The studio: what each visitor of the app has uploaded, chosen, started and received."""
