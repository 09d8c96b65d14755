"""Model-based features: what was measured on this snapshot, and measuring them in the background."""

from __future__ import annotations

import streamlit as st
from pydantic import ValidationError

from causalmix_core.corpus import MODEL_FEATURES, MeasureSpec, Snapshot, measurements
from causalmix_core.workspace import Workspace
from jobs import MeasureTask
from pages.widgets import task_panel


def show(workspace: Workspace, snapshot: Snapshot) -> None:
    """What there is, and a form for more."""
    found = measurements(workspace, snapshot.id)
    with st.expander("Model-based features", icon=":material/model_training:", expanded=False):
        if found:
            newest = found[0]
            names = ", ".join(MODEL_FEATURES[f].label for f in newest.features)
            st.markdown(
                f"Measured: **{names}**, by `{newest.spec.model}` on {newest.documents:,} documents "
                f"({newest.created_at:%Y-%m-%d %H:%M} UTC). They are features like all others now."
            )
        else:
            st.markdown(
                "How surprising each document is to a language model: its **loss** per byte and its "
                "**high-entropy sum**. The CausalMix paper uses them as the state of the pool."
            )
        model = st.text_input(
            "Causal language model",
            "reference",
            key="measure_model",
            help="`reference`: a small proxy that is trained on this very pool first, without any network. "
            "Else the path of a model on this server, or a name on the Hugging Face hub.",
        ).strip()
        style = st.text_input(
            "Writing-style model (optional)",
            key="measure_style",
            help="A sequence-regression model by path or hub name, such as QuRater. Without one there is no "
            "writing style; nothing is made up.",
        ).strip()
        output = None
        if style:
            output = st.number_input(
                "Which of its numbers", min_value=0, value=0, key="measure_output",
                help="A model that gives several numbers per document says in its card which one is the "
                "style; for QuRater it is number 0.",
            )  # fmt: skip
        tokens = st.number_input(
            "Tokens per document", min_value=16, max_value=1 << 20, value=512, step=128, key="measure_tokens",
            help="Longer documents are measured on their first tokens.",
        )  # fmt: skip
        if st.button(
            "Measure in the background",
            icon=":material/play_arrow:",
            key="measure",
            disabled=not model or task_panel.running(workspace) is not None,
        ):
            try:
                spec = MeasureSpec(
                    model=model,
                    writing_style_model=style or None,
                    writing_style_output=None if output is None else int(output),
                    max_tokens=int(tokens),
                    batch_tokens=max(8192, int(tokens)),
                )
            except ValidationError as error:
                st.error(error.errors()[0]["msg"], icon=":material/error:")
            else:
                task_panel.start(workspace, MeasureTask(snapshot=snapshot.id, spec=spec))
