"""What a job costs in memory and time, and which profile fits the machine."""
