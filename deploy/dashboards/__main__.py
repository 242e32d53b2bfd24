"""`python -m deploy.dashboards`: write the dashboards' JSON; with `--check` only say whether it is current."""

from deploy.dashboards.files import FOLDER, stale, write
from deploy.generated import main

if __name__ == "__main__":
    main("deploy.dashboards", "Write the dashboards' JSON.", FOLDER, stale=stale, write=write)
