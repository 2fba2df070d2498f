#!/usr/bin/env python
"""Django's command line for this project: `manage.py help` lists every command."""

from cataract.__main__ import main

if __name__ == "__main__":
    main()
