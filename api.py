"""The service over HTTP: `python api.py`, or `uvicorn api:app --port 8001`."""

import sys

try:
    from data_collector.api import create_app, main
except ImportError as missing:
    from data_collector.model.errors import without_service

    if __name__ != "__main__":
        raise
    lacking = without_service(missing)
    sys.stderr.write(f"{lacking}\n")
    sys.exit(lacking.exit_code)

app = create_app()

if __name__ == "__main__":
    raise SystemExit(main(app))
