"""The status page for admins: how the whole system is, and what to do. It knows accounts, so it stands above them."""
