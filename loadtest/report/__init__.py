"""The launch report (`python -m loadtest.report RECORD.json`): go or no-go, from the record of a load test.

thresholds.py   the thresholds, from a YAML file
layout.py       the fields that a record must have, and their types
reading.py      the record's turns and calls, typed, and the load at each second
figures.py      the measures of any part of a run
knee.py         the highest load at which the thresholds held
verdict.py      go, no-go or invalid; the part of the run that is judged
capacity.py     calls per replica, replicas needed, cost
advice.py       the next steps, derived from the numbers
flags.py        the names of the options in the advice
findings.py     all results, as written to the JSON file
exact.py        exact counts of turns and calls, even if the rows are a sample
tables.py       the numbers as tables
ending.py       the exit status; it is 1 only for a no-go
plots.py, drawing.py, page.py, page.html.j2, junit.py   the output: pictures, page, JUnit file
"""
