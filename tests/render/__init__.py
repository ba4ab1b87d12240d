"""What the offline render writes, judged by the programs that will read it."""
