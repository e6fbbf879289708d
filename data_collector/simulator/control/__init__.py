"""What operators and tests ask of the simulator: faults, actions, and the truth."""
