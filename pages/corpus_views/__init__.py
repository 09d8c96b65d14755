"""The views of the corpus page, one file each; `pages/corpus.py` chooses among them."""
