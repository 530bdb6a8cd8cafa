"""Where jobs run: the queue, local and Ray workers, transfer of files, torchrun. Knows jobs, not their content."""
