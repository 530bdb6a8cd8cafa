"""Components of the page."""
