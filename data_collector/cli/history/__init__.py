"""Commands for the past: backfill, audit, export, certify."""
