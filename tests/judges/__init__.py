"""Outside judges of a site: programs by others, and attacks of our own. They need its address, its name and its authority."""
