"""Bytes to values and back. No sockets, files, clocks, logging or asyncio in here."""
