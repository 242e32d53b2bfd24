"""`firstword check`: the voice platform's checklist, run against any endpoint that speaks OpenAI's chat/completions.

A client and nothing else: it knows of our service no more than of another's. `target` says where and with which key, `client` and
`stream` ask and read, `way_in` finds the path and the header, `session` asks by them, `checks_*` look, `schema` and `judge` know
what is valid, `loose_json` reads what is not, `catalogue` lists the checks, `run` goes through them, `report` and `tables` tell.
"""
