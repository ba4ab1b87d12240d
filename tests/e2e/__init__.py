"""The playbooks as users run them, from the command line."""
