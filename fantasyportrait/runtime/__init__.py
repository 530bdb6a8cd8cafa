"""How torch runs: devices, dtypes, offloading, quantization, attention kernels, compiling, process groups."""
