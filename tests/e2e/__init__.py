"""The playbooks as people run them, from the command line."""
