"""The diffusers pipeline of the paper: guidance, windows over time, masks, decoding. It gets tensors and masks."""
