"""`data-collector simulate`: an exchange of a process of its own, made up or recorded."""
