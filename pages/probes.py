"""Swarms of proxies: design one, launch it, watch it train, and look at what came out."""

from __future__ import annotations

import streamlit as st

from causalmix_core.corpus import Snapshot
from causalmix_core.errors import CausalMixError
from causalmix_core.probes import (
    LIVE,
    LOSS,
    STATE,
    SwarmSpec,
    SwarmStatus,
    unused_seed,
)
from causalmix_core.proxy import PRESETS, PresetName, ProxySpec
from causalmix_core.workspace import Workspace
from jobs import LocalEngine
from pages.widgets import charts, design_panel
from pages.widgets.shell import (
    STATE_COLOURS,
    duration,
    empty,
    guard,
    next_step,
    run_page,
    runs_of,
    snapshot_of,
    title,
    warm_imports,
)

# Between two looks at a running swarm; drawing takes time from the training on a small machine.
REFRESH = "2s"
PRESET_WORDS: dict[PresetName, str] = {
    "nano": "nano · minutes on a laptop",
    "micro": "micro · an hour on a laptop",
    "milli": "milli · for a GPU",
    "centi": "centi · 1M parameters, for a GPU",
    "deci": "deci · 4M parameters, for a GPU",
    "deca": "deca · 19M parameters, for a large GPU",
    "hecto": "hecto · 57M parameters, for a large GPU",
}


@st.cache_data(show_spinner="Timing a few training steps on this machine ...", ttl=3600)
def throughput(proxy: ProxySpec) -> float:
    """Tokens per second of this machine, measured on a few steps of this very proxy."""
    from causalmix_core.proxy.throughput import measure_throughput

    warm_imports().join()
    return measure_throughput(proxy, *LocalEngine.means())


def live(workspace: Workspace, job: str) -> None:
    """The newest job: how it stands, its curves, and what can be done about it."""
    running = LocalEngine().status(workspace, job).state in LIVE
    _watch(workspace, job, REFRESH if running else None)


def _watch(workspace: Workspace, job: str, every: str | None) -> None:
    @st.fragment(run_every=every)
    def panel() -> None:
        with guard():
            status = LocalEngine().status(workspace, job)
        _panel(workspace, status)
        if every is not None and status.state not in LIVE:
            st.rerun()  # ends the polling and shows the results

    panel()


def _panel(workspace: Workspace, status: SwarmStatus) -> None:
    engine = LocalEngine()
    with st.container(border=True):
        head, action = st.columns([4, 1], vertical_alignment="center")
        with head.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**Swarm {status.job}**")
            st.badge(status.state, color=STATE_COLOURS[status.state])
        if status.state in LIVE:
            if action.button("Cancel", key="cancel", icon=":material/stop:", width="stretch"):
                with guard():
                    engine.cancel(workspace, status.job)
                st.toast("The swarm stops within a second; finished probes are kept.")
        elif status.state != "finished" and action.button(
            "Resume", key="resume", icon=":material/play_arrow:", type="primary", width="stretch"
        ):
            with guard():
                engine.resume(workspace, status.job)
            st.rerun()
        st.progress(status.fraction)
        columns = st.columns(4)
        columns[0].metric("Probes finished", f"{status.finished} of {status.swarm.probes}")
        columns[1].metric("Tokens trained", f"{status.tokens_done / 1e6:.1f} M")
        rate = status.tokens_per_second
        columns[2].metric("Speed", f"{rate / 1000:.0f} k tokens/s" if rate else "–")
        left = status.seconds_left if status.state in LIVE else None
        if status.state == "finished":
            columns[3].metric("Took", duration(status.seconds))
        else:
            columns[3].metric("Left", duration(left) if left is not None else "–")
        if status.message:
            st.error(status.message, icon=":material/error:")
        if status.state == "interrupted":
            st.warning(
                "The process that trained this swarm is gone (a reboot, or it was killed). Finished "
                "shards are kept; Resume trains the rest.",
                icon=":material/warning:",
            )
        if status.diverged:
            st.warning(
                f"{status.diverged} probes diverged (their loss was no number). They are kept on record "
                "and never used.",
                icon=":material/warning:",
            )
        if status.curves:
            tokens = status.swarm.proxy.sequences * status.swarm.proxy.sequence_length
            charts.show(charts.training_curves(status.curves, tokens), key="curves", height=280)
        elif status.state in LIVE:
            st.caption("Loading the pool and building the models; the first curve appears in seconds.")


def design(workspace: Workspace, snapshot: Snapshot, first: bool) -> None:
    """Choose a swarm, see its mixtures and its cost, launch it."""
    st.subheader("Design a swarm" if first else "Design another swarm", anchor=False)
    controls, picture = st.columns([2, 3], gap="large")
    with controls:
        chosen = design_panel.choose_design(snapshot.domains)
        preset = st.selectbox(
            "Proxy",
            list(PRESETS),
            format_func=lambda name: PRESET_WORDS.get(name, name),
            help="The small language model that stands in for the large one. All proxies of a swarm "
            "start from the same weights and read their documents in the same order, so differences "
            "come from the mixture.",
        )
        tokens = st.number_input(
            "Training tokens per probe",
            min_value=10_000,
            max_value=10_000_000_000,
            value=PRESETS[preset].tokens,
            step=50_000,
            key=f"tokens-{preset}",
        )
        seed = st.number_input(
            "Seed", min_value=0, max_value=2**31, value=unused_seed(LocalEngine(), workspace),
            help="Decides the mixtures, the first weights and the order of documents. Another seed "
            "gives an independent swarm.",
        )  # fmt: skip
        settings = design_panel.advanced(chosen["design"] if chosen else "list")
        if chosen is None:
            return
        swarm = SwarmSpec(
            proxy=PRESETS[preset].model_copy(update={"tokens": int(tokens)}),
            seed=int(seed),
            state_features=tuple(workspace.config().state_features),
            **chosen,
            **settings,
        )
        try:
            planned = design_panel.plan(swarm, snapshot.tokens())
        except CausalMixError as error:
            st.error(str(error), icon=":material/error:")
            return
        cost(workspace, swarm)
        if st.button("Launch the swarm", type="primary", icon=":material/rocket_launch:"):
            with guard():
                LocalEngine().submit(workspace, swarm)
            st.rerun()
    with picture:
        design_panel.show_plan(swarm, planned, snapshot)


def cost(workspace: Workspace, swarm: SwarmSpec) -> None:
    """How long the swarm would take here: by the newest swarm of such proxies, else timed on request."""
    total = swarm.probes * swarm.proxy.sequences * swarm.proxy.sequence_length
    timed = st.session_state.setdefault("timed", {})
    key = swarm.proxy.model_dump_json(exclude={"tokens"})
    for job in LocalEngine().jobs(workspace)[:1]:
        status = LocalEngine().status(workspace, job)
        if status.swarm.proxy.model_dump_json(exclude={"tokens"}) == key and status.tokens_per_second:
            timed.setdefault(key, status.tokens_per_second)
    size = f"{swarm.proxy.parameters:,} parameters without embeddings, {total / 1e6:.0f} M tokens in all"
    if key in timed:
        st.caption(f"{size}; about **{duration(total / timed[key] + 15)}** on this machine (estimate).")
    else:
        st.caption(f"{size}.")
        if st.button("Estimate the time", icon=":material/timer:", help="Trains for a second or two."):
            with guard():  # a proxy may be too large for this machine
                timed[key] = throughput(swarm.proxy)
            st.rerun()


def results(workspace: Workspace, snapshot: Snapshot) -> bool:
    """Finished probes; False when there is none yet."""
    try:
        runs = runs_of(workspace, snapshot)
    except CausalMixError:
        return False
    st.subheader("Results", anchor=False)
    st.caption(
        f"{len(runs)} finished probes on this snapshot. A loss is measured on held-out documents that no "
        "probe trains on, in nats per token; lower is better."
    )
    if runs.left_out:
        st.caption(
            f":material/info: {runs.left_out} finished probes are left out: another proxy or another number "
            "of tokens trained them, so their losses do not compare, or they repeat a probe with its seed."
        )
    left, right = st.columns([1, 1], gap="large")
    with left:
        domain = st.selectbox("Weight of", runs.domains)
        outcome = st.selectbox(
            "against the loss on", runs.outcomes, index=runs.outcomes.index(LOSS + domain),
            format_func=lambda o: o.removeprefix(LOSS),
        )  # fmt: skip
        spread = runs.frame[runs.outcomes].agg(["min", "median", "max"]).T
        spread.index = [o.removeprefix(LOSS) for o in spread.index]
        st.dataframe(
            spread,
            column_config={
                "_index": st.column_config.TextColumn("Held-out loss on"),
                **{c: st.column_config.NumberColumn(c, format="%.3f") for c in spread.columns},
            },
        )
    with right:
        charts.show(charts.weight_against_loss(runs.frame, domain, outcome), key="weight-loss", height=380)
    with st.expander("All probes", icon=":material/table:"):
        table = runs.frame[["run", *runs.weight_columns, *runs.states, *runs.outcomes]]
        st.dataframe(
            table,
            hide_index=True,
            column_config={
                **{c: st.column_config.NumberColumn(c, format="percent") for c in runs.weight_columns},
                **{c: st.column_config.NumberColumn(c, format="%.3f") for c in runs.outcomes},
                **{
                    c: st.column_config.NumberColumn(c.removeprefix(STATE), format="%.3f")
                    for c in runs.states
                },
            },
        )
    return True


def render(workspace: Workspace) -> None:
    """Lay out the page."""
    title("Probes", "Small proxy models, each trained on another mixture, show what a mixture does.")
    try:
        snapshot = snapshot_of(workspace)
    except CausalMixError:
        empty("There is no pool to train on yet: read the sources first.", "corpus", "Go to the corpus")
    jobs = LocalEngine().jobs(workspace)
    if jobs:
        live(workspace, jobs[0])
    finished = results(workspace, snapshot)
    design(workspace, snapshot, first=not jobs)
    if finished:
        next_step("graph", "discover which weights and which pool state move which loss")


run_page("probes", render)
