"""The documents that are made from the code, and what makes them."""
