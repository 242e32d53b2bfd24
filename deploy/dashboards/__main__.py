"""`python -m deploy.dashboards` writes the dashboards' JSON. With `--check` it only says whether the JSON is current."""

from deploy.dashboards.files import FOLDER, stale, write
from deploy.generated import main

if __name__ == "__main__":
    main("deploy.dashboards", "Write the dashboards' JSON.", FOLDER, stale=stale, write=write)
