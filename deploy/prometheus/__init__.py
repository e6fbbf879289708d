"""What Prometheus is given; the rules are declared in `data_collector.alerting.rules`."""
