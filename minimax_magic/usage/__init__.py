"""What is used and what is left."""
