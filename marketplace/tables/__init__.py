"""Reading what clients bring: in blocks, with limits, trusting nothing that a file says of itself."""
