"""Whether a scenario can be played with the client and the proxy at hand. Pure."""

from __future__ import annotations

from harness.policy import ClientProfile
from harness.proxy.port import Abilities
from harness.scenario.faults import NetworkFault
from harness.scenario.model import Scenario, Speak
from harness.scenario.sense import faults_of
from harness.translate import network_fault


def unmet_needs(
    scenario: Scenario, client: ClientProfile, proxy_kind: str, abilities: Abilities | None = None
) -> str | None:
    """Why this client or proxy cannot play the scenario, so that the run is skipped; None: it can.

    A fault that the proxy cannot produce skips the run only where the scenario says which proxy it needs; elsewhere
    it is a mistake in the scenario (`LoadedScenario.impossible_faults`). `abilities` None leaves that aside.
    """
    wanted = {*scenario.needs.client}
    if client.driven and any(isinstance(step, Speak) for step in scenario.story):
        wanted.add("audio")
    missing = sorted(wanted - client.can)
    if missing:
        return f"the client does not say that it can {' and '.join(missing)}"
    if client.driven and not {"text", "audio"} & client.can:
        return "the client says that it can neither text nor audio, so nothing can be said to it"
    credential = scenario.needs.credential
    if credential not in ("any", client.policy.credential):
        return f"the scenario is about the credential {credential}, and this client uses {client.policy.credential}"
    needed = scenario.needs.proxy
    if needed == "any":
        return None
    if proxy_kind != needed:
        return f"the scenario needs the {needed} proxy, and this run has {proxy_kind}"
    for _, fault in faults_of(scenario):
        if abilities is not None and isinstance(fault, NetworkFault) and not abilities.can(network_fault(fault)):
            what = f"`{fault.network}` with direction {fault.direction} and scope {fault.scope}"
            return f"the scenario needs the {needed} proxy, and even that cannot produce {what}"
    return None
