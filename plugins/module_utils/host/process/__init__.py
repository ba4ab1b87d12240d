"""Starts, confines and ends processes: the process managers, and what runs beside them."""
