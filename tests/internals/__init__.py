"""What the kit uses of Ansible's internals, checked with each supported ansible-core."""
