"""The reading room's HTTP API: the worklist, one request and its report, and recognition."""

from engine.api.reading import recognition, requests

routers = (requests.router, recognition.router)
"""What `create_app` includes."""

__all__ = ["routers"]
