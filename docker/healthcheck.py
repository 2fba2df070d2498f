"""Exits with 0 if this container's web server answers: `live`, the default, or `ready` to take photos.

The Host header must be one of ALLOWED_HOSTS.
"""

import os
import sys
import urllib.request

kind = sys.argv[1] if len(sys.argv) > 1 else "live"
host = os.environ.get("ALLOWED_HOSTS", "localhost").split(",")[0].lstrip(".") or "localhost"
request = urllib.request.Request(f"http://127.0.0.1:8000/api/v1/health/{kind}", headers={"Host": host})
try:
    with urllib.request.urlopen(request, timeout=4) as answer:
        sys.exit(answer.status != 200)
except OSError as error:
    sys.exit(str(error))
