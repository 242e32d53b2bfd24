"""Generator of the Helm chart's values.yaml, values.schema.json and README.

The source is `service.preflight.values.chart_values`.
"""
