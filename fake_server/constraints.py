"""What an ephemeral token fixes of a client's setup (protocol, sections 2.1 and 2.2). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from fake_server.wire.schema import MEMBERS, UNSUPPORTED_GENERATION_CONFIG, camel_case

MaskPath: TypeAlias = tuple[str, ...]
"""`("generationConfig", "temperature")`: camelCase, from the setup inwards."""

PINNED_MODALITY = "TEXT"
"""What a token's setup without a modality answers in: so an audio model refuses a token that pins its model alone."""


def read_field_mask(written: str) -> tuple[MaskPath, ...]:
    """The paths of a mask, in either casing; a bare name of a GenerationConfig field means that field (section 2.1)."""
    paths = []
    for entry in written.split(","):
        path = tuple(camel_case(name) for name in entry.strip().split(".") if name)
        if not path:
            continue
        if path[0] not in MEMBERS["Setup"] and path[0] in (
            *MEMBERS["GenerationConfig"],
            *UNSUPPORTED_GENERATION_CONFIG,
        ):
            path = ("generationConfig", *path)
        paths.append(path)
    return tuple(paths)


@dataclass(frozen=True, slots=True)
class Constraints:
    """A token's own setup and field mask, both in canonical camelCase."""

    setup: Mapping[str, Any] | None = None
    mask: tuple[MaskPath, ...] = ()

    def apply(self, client: Mapping[str, Any]) -> dict[str, Any]:
        """The setup that counts.

        No setup and no mask: the client's. A setup alone: the token's replaces it entirely, and what it leaves
        unset falls to defaults; the modality's was measured to be TEXT, unlike that of a client's own setup. A mask:
        the masked fields alone are the token's (and unset where it has none).

        A client's resumption handle is no setting: it stays wherever the token allows resumption and names no handle
        of its own, as the documented use of locked tokens needs [inferred]. Elsewhere it goes with the client's setup.
        """
        if self.setup is None and not self.mask:
            return dict(client)
        if not self.mask:
            result = _with_modality(self.setup or {})
        else:
            result = dict(client)
            for path in self.mask:
                result = _overwritten(result, self.setup or {}, path)
        handle = _inner(client, "sessionResumption").get("handle")
        resumption = result.get("sessionResumption")
        if handle and isinstance(resumption, Mapping) and not resumption.get("handle"):
            result["sessionResumption"] = {**resumption, "handle": handle}
        return result


UNCONSTRAINED = Constraints()
"""Of a token that fixes nothing."""


def _inner(setup: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = setup.get(name)
    return inner if isinstance(inner, Mapping) else {}


def _with_modality(pinned: Mapping[str, Any]) -> dict[str, Any]:
    """A setup that replaced the client's, with the modality that it falls to where it names none."""
    config = _inner(pinned, "generationConfig")
    if config.get("responseModalities"):
        return dict(pinned)
    return {**pinned, "generationConfig": {**config, "responseModalities": [PINNED_MODALITY]}}


def _overwritten(client: Mapping[str, Any], token: Mapping[str, Any], path: MaskPath) -> dict[str, Any]:
    """A copy of `client` whose member at `path` is as in `token`; nothing given is changed."""
    name, inner = path[0], path[1:]
    result = dict(client)
    if not inner:
        if name in token:
            result[name] = token[name]
        else:
            result.pop(name, None)
        return result
    theirs, ours = client.get(name), token.get(name)
    nested = _overwritten(
        theirs if isinstance(theirs, Mapping) else {}, ours if isinstance(ours, Mapping) else {}, inner
    )
    if nested or name in client or name in token:
        result[name] = nested
    return result


def article_setup(constraints: Mapping[str, Any]) -> dict[str, Any]:
    """The setup in an article's `liveConnectConstraints` ({model, config}), converted as the SDKs do it.

    Members that neither the setup nor its generationConfig knows are left out: the dialect is not the service's.
    """
    setup: dict[str, Any] = {}
    model = constraints.get("model")
    if isinstance(model, str) and model:
        setup["model"] = model if "/" in model else f"models/{model}"
    config = constraints.get("config")
    generation: dict[str, Any] = {}
    for key, value in (config if isinstance(config, Mapping) else {}).items():
        name = camel_case(key)
        if name in MEMBERS["Setup"]:
            setup[name] = value
        elif name in MEMBERS["GenerationConfig"]:
            generation[name] = value
    if generation:
        setup["generationConfig"] = {**generation, **_inner(setup, "generationConfig")}
    return setup
