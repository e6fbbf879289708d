"""The Data Validation Service: an HTTP program that judges records, audits collectors, and keeps the suites."""

from data_collector.validation.service.app import create_app, serve
from data_collector.validation.service.context import Options

__all__ = ["Options", "create_app", "serve"]
