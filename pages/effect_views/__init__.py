"""The views of the effects page, one file each; `pages/effects.py` chooses among them."""
