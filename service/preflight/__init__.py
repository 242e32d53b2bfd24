"""`firstword preflight`: will the chart schedule on this cluster, and what must change where it will not?"""
