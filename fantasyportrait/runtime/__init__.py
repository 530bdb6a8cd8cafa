"""How the diffusion engine fits a machine: devices, numbers, offloading. Calls that diffusers and accelerate have."""
