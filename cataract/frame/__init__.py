"""The frame around every page: the navigation by role, the news in the header, the home pages and the search."""
