"""Panels of the notebook. View models know and can be tested alone; panels show."""
