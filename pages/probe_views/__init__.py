"""The views of the probes page, one file each; `pages/probes.py` chooses among them."""
