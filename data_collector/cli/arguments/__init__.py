"""What commands take: imported for their help, and to read a command line."""
