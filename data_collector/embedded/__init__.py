"""Servers that we start and supervise ourselves."""
