"""What actions, modules and lookups share."""
