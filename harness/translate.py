"""From what a scenario says to what the fake server and the proxy are told. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from fake_server import acts
from fake_server import behaviour as fake
from harness.proxy import port
from harness.scenario import faults

if TYPE_CHECKING:
    from harness.plan import Plan

Told: TypeAlias = faults.ServerFault | faults.TokenFault


def behaviour(plan: Plan) -> fake.Behaviour:
    """What the fake server of this run is told about itself."""
    session = plan.scenario.session
    tokens, resumption, limits, script = session.tokens, session.resumption, session.limits, session.model_script
    return fake.Behaviour(
        model=session.model,
        dialect=session.dialect,
        profile=session.profile,
        tokens=fake.TokenRules(
            uses=tokens.uses,
            new_session_window_s=tokens.new_session_window,
            lifetime_s=tokens.lifetime,
            resume_spends_use=tokens.resume_spends_use or tokens.refuse == "http_401",
            refuse=tokens.refuse,
        ),
        resumption=fake.ResumptionRules(
            every_s=resumption.every,
            first_after_s=resumption.first_after,
            handles=resumption.handles,
            pause_while_generating=resumption.pause_while_generating,
            lifetime_s=resumption.lifetime,
            embargo_old_socket=resumption.embargo.old_socket,
            embargo_idle_drop_s=resumption.embargo.idle_drop,
            embargo_refused_after_s=resumption.embargo.refused_after,
            counts_setup=resumption.counts_setup,
        ),
        limits=fake.Limits(
            go_away_after_s=limits.go_away_after,
            go_away_time_left_s=limits.go_away_time_left,
            idle_s=limits.idle,
            dead_client_s=limits.dead_client,
            setup_within_s=limits.setup_within,
            session_s=limits.session,
            video_session_s=limits.video_session,
            context_tokens=limits.context_tokens,
            sessions=limits.sessions,
            quota_close_after_s=limits.quota_close_after,
            max_frame_bytes=limits.max_frame_bytes,
            input_ahead_s=limits.input_ahead,
        ),
        frames=fake.FrameRules(opcode=session.frames.opcode, pretty=session.frames.pretty),
        script=fake.ModelScript(
            setup_complete_after_s=script.setup_complete_after,
            think_s=script.think,
            reply_audio_s=script.reply_audio,
            audio_pace=script.audio_pace,
            hold_turn_complete=script.hold_turn_complete,
            quiet_ends_turn_s=script.quiet_ends_turn,
            speech_interrupts=script.speech_interrupts,
            replies=script.replies,
            calls=tuple(fake.ScriptedCall(one.turn, one.name) for one in script.calls),
            calls_when_named=script.calls_when_named,
            call_ids=script.call_ids,
            pending_call_input=script.pending_call_input,
            turn_complete=script.turn_complete,
            interim_turns=script.interim_turns,
            empty_frames=script.empty_frames,
        ),
        unknown_fields=session.unknown_fields,
        voices=session.voices,
        utterances={
            one.number: fake.Utterance(one.number, one.text, one.speech_samples, one.total_samples)
            for one in plan.utterances
        },
        facts=dict(plan.facts),
    )


def network_fault(fault: faults.NetworkFault) -> port.Fault:
    """What a proxy is asked for; parameters that the scenario leaves out are the port's own."""
    given: dict[str, Any] = {
        "latency_ms": None if fault.latency is None else fault.latency * 1000,
        "jitter_ms": None if fault.jitter is None else fault.jitter * 1000,
        "rate_bytes_per_s": fault.rate,
        "slice_bytes": fault.slice_bytes,
        "slice_delay_ms": None if fault.slice_delay is None else fault.slice_delay * 1000,
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    return port.Fault(fault.network, fault.direction, fault.scope, **chosen)


def server_act(fault: Told) -> acts.Act:
    """What the fake server is asked to do. Raises `TypeError` for a fault that no act carries out."""
    match fault:
        case faults.GoAwayFault():
            return acts.GoAway(fault.time_left, fault.raw, dict(fault.extra), fault.connection)
        case faults.CloseFault():
            return acts.Close(fault.code, fault.reason, fault.connection)
        case faults.RefusalFault():
            times = 1 if fault.times is None and fault.for_s is None else fault.times
            return acts.Refuse(fault.refusal, fault.only, fault.for_s, times, fault.connection, fault.retry_after)
        case faults.AbortFault():
            return acts.Abort(fault.connection)
        case faults.SilenceFault():
            return acts.Silence(fault.for_s, fault.only, fault.connection)
        case faults.UpdateFault():
            return acts.SendUpdate(fault.resumable, fault.for_s, fault.connection)
        case faults.ForgetHandleFault():
            return acts.ForgetHandle()
        case faults.ForgetContextFault():
            return acts.ForgetContext()
        case faults.InterruptFault():
            return acts.Interrupt(fault.connection)
        case faults.ToolCallFault():
            return acts.CallTool(fault.name, fault.connection)
        case faults.CancelToolCallFault():
            return acts.CancelTool(fault.connection)
        case faults.MessageFault():
            return acts.SendMessage(fault.message, fault.connection)
        case faults.MalformedFault():
            return acts.SendMalformed(fault.malformed, fault.connection)
        case faults.UnknownMessageFault():
            return acts.SendUnknown(fault.connection)
        case faults.SlowPongFault():
            return acts.SlowPong(fault.delay, fault.for_s, fault.connection)
        case faults.FailTokensFault(with_=int(status)):
            return acts.FailTokenCalls("status", status, fault.for_s, fault.times, fault.retry_after)
        case faults.FailTokensFault(with_="timeout" | "garbage" as how):
            return acts.FailTokenCalls(how, 503, fault.for_s, fault.times, fault.retry_after)
        case faults.SlowTokensFault():
            return acts.SlowTokenCalls(fault.delay, fault.for_s)
        case faults.ExpireTokensFault():
            return acts.ExpireTokens()
        case _:
            raise TypeError(f"fault={fault.act}: no act of the fake server carries this out; add a row here")
