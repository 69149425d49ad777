"""What the network decides, in pure Python: no Django, no clock, no randomness, no input or output."""
