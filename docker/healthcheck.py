"""Exits with 0 if this container's web server answers. The Host header must be one of ALLOWED_HOSTS."""

import os
import sys
import urllib.request

host = os.environ.get("ALLOWED_HOSTS", "localhost").split(",")[0].lstrip(".") or "localhost"
request = urllib.request.Request("http://127.0.0.1:8000/api/v1/health/live", headers={"Host": host})
try:
    with urllib.request.urlopen(request, timeout=4) as answer:
        sys.exit(answer.status != 200)
except OSError as error:
    sys.exit(str(error))
