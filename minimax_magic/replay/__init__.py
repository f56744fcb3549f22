"""Answers that were recorded, to be given again without key, network and cost."""
