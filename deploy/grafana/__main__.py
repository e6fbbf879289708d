"""`python -m deploy.grafana`: writes the dashboards' files anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from deploy.grafana import feed_boards, store_boards
from deploy.grafana.panels import dashboard_json
from deploy.written import write_all

DASHBOARDS: Final = (
    feed_boards.OVERVIEW,
    feed_boards.FEED,
    feed_boards.COMPLETENESS,
    store_boards.VALIDATION,
    store_boards.STORES,
    store_boards.PROCESS,
)

FOLDER: Final = Path(__file__).parent / "dashboards"


def files() -> dict[str, str]:
    """What the folder holds: name and content of each file."""
    return {f"{each.name}.json": json.dumps(dashboard_json(each), indent=2) + "\n" for each in DASHBOARDS}


def main() -> None:
    """Write them all."""
    write_all(FOLDER, ".json", files())


if __name__ == "__main__":
    main()
