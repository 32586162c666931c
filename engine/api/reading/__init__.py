"""The reading room's HTTP API: the worklist, one request and its report, recognition, and workitems."""

from engine.api.reading import recognition, requests, workitems

routers = (requests.router, recognition.router, workitems.router)
"""What `create_app` includes."""

__all__ = ["routers"]
