"""The launch report (`python -m loadtest.report RECORD.json`): go or no-go, from the record of a load test.

thresholds.py   what is wanted, from a YAML file
layout.py       which fields a record must have, and of which types
reading.py      the record's turns and calls, typed, and which load they met
figures.py      the measures of any part of a run
knee.py         the highest load at which the thresholds held
verdict.py      go, no-go or invalid: what is judged in which scenario
capacity.py     calls per replica, replicas needed, cost
advice.py       what to do next, from the numbers
flags.py        the options that the advice names
findings.py     all of it, as the JSON file has it
tables.py       the numbers as tables
ending.py       its exit status, which is 1 only where it is a no-go
plots.py, drawing.py, page.py, page.html.j2, junit.py   how it is told
"""
