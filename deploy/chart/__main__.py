"""`python -m deploy.chart`: write the chart's values, schema and README. `--check` only reports whether they are current."""

from deploy.chart.files import FOLDER, stale, write
from deploy.generated import main

if __name__ == "__main__":
    main("deploy.chart", "Write the chart's values, schema and README.", FOLDER, stale=stale, write=write)
