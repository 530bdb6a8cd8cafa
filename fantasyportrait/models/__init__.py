"""The networks of the diffusion engine: transformer, motion adapter, motion encoder. Modules only, no files, no media."""
