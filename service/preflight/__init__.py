"""`firstword preflight`: check whether the chart can run on a cluster, and say what to change."""
