"""The database engine of the embedded default: Django's SQLite with a fair queue of writers."""
