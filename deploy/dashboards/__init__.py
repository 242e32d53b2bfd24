"""The Grafana dashboards, as code. `python -m deploy.dashboards` writes the JSON that the chart ships; see docs/dashboards.md."""
