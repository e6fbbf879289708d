"""Streams of the store as rows for engines that keep tables, each read of them with its position."""
