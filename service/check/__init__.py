"""`firstword check`: the voice platform's checklist, run against any endpoint that speaks OpenAI's chat/completions.

This package is a client. It does not know our service better than any other endpoint.

- `probe/target` holds the URL and the key. `probe/client` sends one request. `probe/stream` reads a streamed answer.
- `probe/discovery` finds the path, the header and the model that work. `probe/session` sends every later request with them.
- `checks/` holds the checks. `checks/schema` and `checks/validation` decide whether an answer is valid.
- `run` runs every check in turn. `report` and `tables` show the results.
"""
