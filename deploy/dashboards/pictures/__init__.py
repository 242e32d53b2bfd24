"""Pictures of the dashboards for the docs, drawn from recorded answers of Prometheus: to see them takes no Grafana."""
