"""Designing a swarm: its mixtures, its proxy, what can be learnt from it, what it costs; and launching it."""

from __future__ import annotations

import os

import streamlit as st
from pydantic import ValidationError

from causalmix_core.corpus import Snapshot
from causalmix_core.errors import CausalMixError
from causalmix_core.probes import SwarmSpec, load_engine, unused_seed
from causalmix_core.probes.settling import settle_swarm
from causalmix_core.proxy import ProxySpec, proxy_tokens
from causalmix_core.workspace import Workspace
from jobs import LocalEngine
from pages.probe_views import proxy_panel, swarms
from pages.widgets import design_panel
from pages.widgets.shell import duration, guard, warm_imports
from pages.widgets.views import turn_to

TIMED = "timed"


@st.cache_data(show_spinner="Timing a few training steps on this machine ...", ttl=3600)
def throughput(proxy: ProxySpec) -> float:
    """Tokens per second of this machine, measured on a few steps of this very proxy."""
    from causalmix_core.proxy.throughput import measure_throughput

    warm_imports().join()
    return measure_throughput(proxy, *LocalEngine.means())


def show(workspace: Workspace, snapshot: Snapshot, first: bool) -> None:
    """Lay out the view."""
    st.subheader("Design a swarm" if first else "Design another swarm", anchor=False)
    controls, picture = st.columns([2, 3], gap="large")
    with controls:
        chosen = design_panel.choose_design(snapshot.domains)
        proxy = proxy_panel.choose_proxy()
        seed = st.number_input(
            "Seed", min_value=0, max_value=2**31, value=unused_seed(LocalEngine(), workspace),
            help="Decides the mixtures, the first weights and the order of documents. Another seed "
            "gives an independent swarm.",
        )  # fmt: skip
        settings = design_panel.advanced(chosen["design"] if chosen else "list")
        tasks = proxy_panel.choose_tasks()
        engine = _engine(workspace)
        if chosen is None or proxy is None:
            return
        try:
            swarm = _settled(
                SwarmSpec(
                    proxy=proxy,
                    seed=int(seed),
                    state_features=tuple(workspace.config().state_features),
                    **chosen,
                    **settings,
                    **tasks,
                ),
                workspace,
            )
            tokens = _tokens(snapshot, swarm.proxy)
            planned = design_panel.plan(swarm, tokens)
            cost(workspace, swarm, engine)
        except ValidationError as error:
            st.error(proxy_panel.first_mistake(error), icon=":material/error:")
            return
        except CausalMixError as error:
            st.error(str(error), icon=":material/error:")
            return
        if st.button("Launch the swarm", type="primary", icon=":material/rocket_launch:"):
            with guard():
                job = load_engine(engine).submit(workspace, swarm)
            swarms.look_at(job)
            turn_to("swarms", "shown")
            st.rerun()
    with picture:
        design_panel.show_plan(swarm, planned, tokens)


def _engine(workspace: Workspace) -> str:
    """Where the swarm trains; a choice only where a cluster is known."""
    address = os.environ.get("RAY_ADDRESS") or workspace.config().ray_address
    if not address:
        return "local"
    return st.selectbox(
        "Train on",
        ["local", "ray"],
        format_func={"local": "this machine", "ray": f"the Ray cluster at {address}"}.__getitem__,
    )


def _settled(swarm: SwarmSpec, workspace: Workspace) -> SwarmSpec:
    """The swarm with its pretrained model and tasks found; looked for again every minute.

    Raises:
        CausalMixError: they cannot be used.
    """
    if swarm.proxy.pretrained is None and not swarm.tasks:
        return swarm
    return _settle(swarm, workspace)


@st.cache_data(show_spinner="Looking for the model and the tasks ...", ttl=60, max_entries=16)
def _settle(swarm: SwarmSpec, _workspace: Workspace) -> SwarmSpec:
    return settle_swarm(swarm, _workspace)


def _tokens(snapshot: Snapshot, proxy: ProxySpec) -> dict[str, int]:
    """Tokens by domain, as the proxy counts them; for a BPE this may train it first.

    Raises:
        CausalMixError: the tokenizer cannot be made or read.
    """
    if proxy.tokenizer == "bytes":
        return proxy_tokens(snapshot, proxy)
    with st.spinner("Training the tokenizer on a sample of the pool and counting its tokens ..."):
        return proxy_tokens(snapshot, proxy)


def cost(workspace: Workspace, swarm: SwarmSpec, engine: str) -> None:
    """How long the swarm would take here: by the newest swarm of such proxies, else timed on request.

    What this machine holds and how fast it is says nothing about a cluster, which answers at the launch.

    Raises:
        CausalMixError: the memory of this machine does not hold one proxy.
    """
    total = swarm.probes * swarm.budget
    size = f"{proxy_panel.describe(swarm.proxy)}, {total / 1e6:.0f} M tokens in all"
    if engine != "local":
        st.caption(f"{size}. How long a cluster takes is known once it trains.")
        return
    LocalEngine().check(workspace, swarm)
    timed = st.session_state.setdefault(TIMED, {})
    key = swarm.proxy.model_dump_json(exclude={"tokens"})
    for job in LocalEngine().jobs(workspace)[:1]:
        status = LocalEngine().status(workspace, job)
        same = status.engine == "local" and status.swarm.proxy.model_dump_json(exclude={"tokens"}) == key
        if same and status.tokens_per_second:
            timed.setdefault(key, status.tokens_per_second)
    if key in timed:
        st.caption(f"{size}; about **{duration(total / timed[key] + 15)}** on this machine (estimate).")
    else:
        st.caption(f"{size}.")
        if st.button("Estimate the time", icon=":material/timer:", help="Trains for a second or two."):
            with guard():  # a proxy may be too large for this machine
                timed[key] = throughput(swarm.proxy)
            st.rerun()
