"""Recipes: one self-contained module each. `kerastl list` shows them."""
