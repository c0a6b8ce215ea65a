"""A page to explore laws with: what the page holds, and the page itself."""
