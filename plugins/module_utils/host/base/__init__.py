"""Files, trees, locks and processes: what everything on a host is made of."""
