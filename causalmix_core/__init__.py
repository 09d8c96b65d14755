"""CausalMix, the library: everything the pages do can be done from here.

The way runs through six rooms, each a package with one door:

- `corpus`   real text in domains -> an immutable snapshot with statistics
- `probes`   the design of a swarm and the run table
- `proxy`    training of small language models on mixtures
- `graph`    the causal graph: discovered, edited, saved
- `effects`  what one more percentage point of a domain does, with intervals
- `mixture`  the simplex, policies that suggest a mixture, exporters

`workspace` is the folder on disk that all of them share; `cli` offers the same steps as verbs.
"""

__version__ = "0.1.0"
