"""The functional forms of laws, one a file."""
