"""Other programs with the same credentials: their environments, a gateway, Aider."""
