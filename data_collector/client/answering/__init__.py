"""Who answers what the reading asks: the store, the collector's HTTP side, PostgreSQL and the clock."""
