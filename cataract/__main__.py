"""The command line: `manage.py`, or the program `cataract` of an installed package. `help` lists every command."""

import os
import sys


def main() -> None:
    """Run the command of `sys.argv`; what a person can cure is said in a line."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cataract.settings")
    from django.core.management import execute_from_command_line
    from django.db import DatabaseError

    from cataract.ops.demo import folder

    try:
        if sys.argv[1:2] == ["demo"]:
            folder.enter()  # before the settings are read
        execute_from_command_line(sys.argv)
    except folder.NotForDemo as error:
        sys.exit(str(error))
    except DatabaseError as error:
        if "--traceback" in sys.argv:
            raise
        sys.exit(_explain(error))
    except KeyboardInterrupt:
        sys.exit(130)


def _explain(error: Exception) -> str:
    """One line for a person whose database is missing, old, busy or away."""
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if any(sign in reason for sign in ("no such table", "no such column", "does not exist", "unable to open")):
        return f"The database is missing or behind the code ({reason}). Run `make run` or `manage.py setup` first."
    return f"The database refused: {reason}. `--traceback` shows where."


if __name__ == "__main__":
    main()
