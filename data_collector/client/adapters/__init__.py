"""What other people's engines read with. Each brings its own library, which nobody else imports."""
