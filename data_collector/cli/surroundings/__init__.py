"""What runs beside a command already, or is started for it."""
