"""The Grafana dashboards: written by `make dashboards`, from what is declared here."""
