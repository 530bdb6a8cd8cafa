"""Pictures, clips and sound in and out; one exact timeline for all of them."""
