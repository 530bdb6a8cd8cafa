"""The CPU engine: warps the photo's own pixels after the driver's landmarks. No torch, nothing learned."""
