"""Credentials: where they are kept, which one is used, how they stay fresh."""
