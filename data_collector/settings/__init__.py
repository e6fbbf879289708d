"""Every setting of the service, read once at start; wrong ones are told all at once."""

from data_collector.settings.fields import SECRETS, Settings, expected_store_bytes, is_loopback
from data_collector.settings.sources import load_settings, variables_of_others

__all__ = ["SECRETS", "Settings", "expected_store_bytes", "is_loopback", "load_settings", "variables_of_others"]
