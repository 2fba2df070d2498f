"""Accounts: who works here, with which roles, how they sign in, and their sessions."""
