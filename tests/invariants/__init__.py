"""What must hold of what is stored and what is said of it, whatever went wrong before."""
