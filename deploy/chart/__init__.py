"""What is written of the Helm chart by program: values.yaml, values.schema.json and README, from `service.preflight.values`."""
