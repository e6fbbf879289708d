"""The Data Validation Service: an HTTP program that judges records, audits collectors, and keeps the suites."""

from data_collector.validation.service.app import create_app
from data_collector.validation.service.options import Options
from data_collector.validation.service.server import serve

__all__ = ["Options", "create_app", "serve"]
