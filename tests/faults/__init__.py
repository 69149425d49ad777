"""The network under faults that a seed draws: in one process with virtual time, and as state machines."""
