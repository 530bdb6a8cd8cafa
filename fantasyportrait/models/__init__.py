"""The networks of the diffusion engine: transformer, motion adapter, motion encoder, Segment Anything. Modules only."""
