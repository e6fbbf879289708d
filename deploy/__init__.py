"""What operators run beside the service: files for Prometheus and Grafana."""
