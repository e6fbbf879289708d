"""The service over HTTP: `python api.py`, or `uvicorn api:app --port 8001`."""

from data_collector.api import create_app, main

app = create_app()

if __name__ == "__main__":
    raise SystemExit(main(app))
