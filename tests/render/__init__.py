"""The files of the offline render, judged by the programs that will read them."""
