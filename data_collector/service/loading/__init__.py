"""What the past passes on its way into PostgreSQL: the gate, the audit by Great Expectations, the quarantine."""
