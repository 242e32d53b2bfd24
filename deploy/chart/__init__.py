"""What is written of the Helm chart by program: values.yaml, values.schema.json and README. The source is
`service.preflight.values.chart_values`.
"""
