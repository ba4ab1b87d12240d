"""Builds a release: code, virtualenv, what is made and placed, and the proof that its module loads."""
