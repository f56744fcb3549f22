"""What a cell tells the model about the user's values, and only about those that it names."""
