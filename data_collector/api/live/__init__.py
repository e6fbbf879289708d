"""What the dashboard is told as it happens: one sampling of store and collector, however many look on."""
