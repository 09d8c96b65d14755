"""A page with nothing but the mixture sliders and what Python heard from them, for the browser tests."""

import json

import streamlit as st

from pages.widgets.mixture_sliders import UNIT, SliderRow, from_units, mixture_sliders, to_units

SIX = {"web": 0.32, "code": 0.2, "math": 0.15, "books": 0.15, "wiki": 0.1, "arxiv": 0.08}
PILE = {
    "ArXiv": 0.113, "BookCorpus2": 0.012, "Books3": 0.131, "DM Mathematics": 0.021, "Enron Emails": 0.003,
    "EuroParl": 0.012, "FreeLaw": 0.067, "GitHub": 0.083, "Gutenberg (PG-19)": 0.029, "HackerNews": 0.009,
    "NIH ExPorter": 0.007, "PhilPapers": 0.005, "Pile-CC": 0.244, "PubMed Abstracts": 0.042,
    "PubMed Central": 0.154, "StackExchange": 0.056, "USPTO Backgrounds": 0.012,
}  # fmt: skip
HOSTILE = {'<b>x</b>&"': 0.6, "__proto__": 0.3, "12": 0.1}
EFFECTS = [
    ("-0.012", "-0.015 to -0.009", "better"),
    ("+0.004", "+0.001 to +0.007", "worse"),
    ("-0.001", "-0.006 to +0.004", "unclear"),
]
WORLDS = {"six": SIX, "pile": PILE, "hostile": HOSTILE}

st.set_page_config(layout="wide")
state = st.session_state
state.runs = state.get("runs", 0) + 1
reference = to_units(WORLDS[st.query_params.get("world", "six")])
state.setdefault("revision", 0)
state.setdefault("start", reference)

left, right = st.columns(2)
if left.button("Apply effects"):
    first, second, *_ = reference
    state.start = {**reference, first: reference[first] - 700, second: reference[second] + 700}
    state.revision += 1
if right.button("Plain rerun"):
    st.toast("rerun")

bounded = "bounded" in st.query_params
top = 4000 if bounded else UNIT
rows = [
    SliderRow(
        domain=domain,
        units=state.start[domain],
        reference_units=reference[domain],
        effect=EFFECTS[i % 3][0],
        interval=EFFECTS[i % 3][1],
        tone=EFFECTS[i % 3][2],
        note=f"{0.4 + 0.3 * i:.1f} epochs",
        **(
            {"epochs": 4.0, "lowest": 500, "highest": 3500, "highest_because": f"{domain} at most 35%"}
            if bounded
            else {}
        ),
    )
    for i, domain in enumerate(reference)
]
visible = st.checkbox("Show the sliders", value=True)
released = mixture_sliders(rows, key="sliders", revision=state.revision, top=top) if visible else None
if released:
    assert sum(from_units(released.units).values()) - 1 < 1e-9
    assert sum(released.units.values()) == UNIT
heard = {"units": released.units, "locked": sorted(released.locked)} if released else None
st.text(f"runs={state.runs} revision={state.revision} heard={json.dumps(heard)}")
