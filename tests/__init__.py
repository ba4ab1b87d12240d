"""Tests of the kit, and the code that makes their hosts."""
