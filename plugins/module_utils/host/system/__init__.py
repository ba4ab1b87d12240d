"""What a host is and has: facts, accounts, packages, releases, and the lock of a run."""
