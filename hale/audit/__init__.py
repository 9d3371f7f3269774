"""One audit: which cases there are, what the hosts answered, and what is recorded of it."""
