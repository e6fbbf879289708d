"""Backups: all that a service holds in one folder with a certificate, and back again."""
