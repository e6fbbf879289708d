"""From the socket to a decoded record: connections that are kept up, rolled over and watched."""
