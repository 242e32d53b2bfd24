"""Draw pictures of the dashboards for the docs, without Grafana, from recorded answers of Prometheus."""
