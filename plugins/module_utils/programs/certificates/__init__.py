"""The program that keeps a host's certificates: it installs, obtains, renews, lists and removes them.

A deploy and the host's timer run this one program, with the host's Python. It needs the standard library and `openssl`.
"""
