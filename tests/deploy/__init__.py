"""What is shipped to run the service elsewhere: image, compose file, chart."""
