"""The parts of the report of a saved mixture: what it states, why, its figures and its sheet.

`causalmix_core.mixture.report` puts them together.
"""
