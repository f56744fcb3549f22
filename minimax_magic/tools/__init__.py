"""Functions that a model may call: what is told of them, and what they give back."""
