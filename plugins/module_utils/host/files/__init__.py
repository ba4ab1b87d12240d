"""Writes sets of files, all of them or none, and has the daemons read them."""
