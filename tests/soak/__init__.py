"""The soak: random faults against two collectors, a store with a replica and a simulated exchange."""
