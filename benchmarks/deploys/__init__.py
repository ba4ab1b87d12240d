"""What a deploy costs beside the least that it must cost, and beside two common playbooks."""
