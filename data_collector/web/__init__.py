"""What every HTTP program of ours is put together from: the doors, the shape of errors, the server."""
