"""What the controller and the hosts agree on. Standard library only: both sides import it."""
