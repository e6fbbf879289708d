"""The HTTP side: health, metrics, status and control, in a process of its own beside the collector."""

from data_collector.api.app import create_app, main, serve

__all__ = ["create_app", "main", "serve"]
