"""Tests of the kit, and the machinery that gives them hosts."""
