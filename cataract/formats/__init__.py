"""How dates and times are written, the same in every language's pages: 2026-01-31 16:05."""
