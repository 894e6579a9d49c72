"""The talk on one live connection: what the client sends becomes turns, turns become answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from fake_server import wire
from fake_server.calling import Calls
from fake_server.context import Window
from fake_server.effects import Effect, Send, Tell
from fake_server.events import SpeechRange, TurnEnded, TurnHeard
from fake_server.hearing import SAMPLE_RATE_HZ, Ear, SpokenTurn, detection
from fake_server.history import Memory, UserTurn
from fake_server.profiles import SERVICES
from fake_server.refusals import Refusal, find_refusal
from fake_server.service import Admission, Caller, Service
from fake_server.talking import Speaker, Voice
from fake_server.tools import Function
from fake_server.translating import Interpreter, translated
from fake_server.wire import ClientFrame

HeardAudio: TypeAlias = tuple[tuple[SpeechRange, ...], bytes]
"""One chunk of streamed audio: what was recognised in it, and its PCM."""

_INVALID_ARGUMENT = find_refusal("invalid_argument")
_EXPLICIT_ACTIVITY = find_refusal("explicit_activity")
_RESOURCE_EXHAUSTED = find_refusal("resource_exhausted")
_CONTEXT_EXHAUSTED = find_refusal("context_exhausted")
_NOT_IMPLEMENTED = find_refusal("not_implemented")
_INPUT = ("realtime_input", "client_content")
_INTERIM_EVERY_SAMPLES = SAMPLE_RATE_HZ // 2
_PICTURE_EVERY_S = 1.0
"""Of the pictures that come, about one a second is looked at (protocol, section 4.3)."""


class Conversation:
    """Turn-taking. What is to be done is appended to `out`, in order; whoever calls empties it.

    A method that returns a `Refusal` has found a reason to close the connection with it.
    """

    def __init__(self, caller: Caller, admission: Admission, service: Service) -> None:
        setup = admission.setup
        script = service.behaviour.script
        self.out: list[Effect] = []
        self._connection = caller.connection
        self._service = service
        self._session = admission.session
        self._profile = admission.profile
        realtime = setup.get("realtimeInputConfig") or {}
        settings = realtime.get("automaticActivityDetection") or {}
        self._auto_vad = not settings.get("disabled")
        self._speech_interrupts = realtime.get("activityHandling") != "NO_INTERRUPTION" and script.speech_interrupts
        ear = Ear(service.behaviour.utterances, detection(settings, script.quiet_ends_turn_s))
        self._bounds = service.behaviour.bounds
        self.memory = Memory(ear, admission.past, self._bounds.facts)
        config = setup.get("generationConfig") or {}
        modalities = config.get("responseModalities") or [SERVICES[caller.service].default_modality]
        modality: Literal["AUDIO", "TEXT"] = "TEXT" if modalities[0] == "TEXT" else "AUDIO"
        thoughts = bool((config.get("thinkingConfig") or {}).get("includeThoughts"))
        voice = Voice(modality, "outputAudioTranscription" in setup, admission.profile, caller.service, thoughts)
        self.speaker = Speaker(caller.connection, voice, script, service.model)
        self._calls = Calls(caller.connection, setup, admission.profile, script, caller.service)
        self._refuses_pending_input = script.pending_call_input == "refuse"
        self._window = Window(setup.get("contextWindowCompression"), service.behaviour.limits.context_tokens)
        self._vad_signals = caller.service == "vertex" and bool(setup.get("explicitVadSignal"))
        self._picture_at_s: float | None = None
        self._interim_at = 0
        self._initial_history = bool((setup.get("historyConfig") or {}).get("initialHistoryInClientContent"))
        self._interpreter = Interpreter() if admission.profile.idle_signal == "none" else None
        self._transcribe_input = "inputAudioTranscription" in setup
        self._transcribe_output = "outputAudioTranscription" in setup
        self._input_ahead_s = service.behaviour.limits.input_ahead_s
        self._ahead_s = 0.0
        self._ahead_at_s = 0.0
        self._draft: list[str] = []
        self._draft_chars = 0
        self._queued: list[tuple[UserTurn, Function | None, bool]] = []
        self._learn(setup.get("systemInstruction"))

    @property
    def busy(self) -> bool:
        """The model is at a turn, or a function call is pending: not a moment to be resumed from."""
        return self.speaker.busy or bool(self.memory.tool_calls)

    @property
    def functions(self) -> tuple[Function, ...]:
        """What the client declared, in order."""
        return self._calls.functions

    def start(self, now_s: float) -> None:
        """SetupComplete went out: what a break cut short is said again (protocol, section 6.3)."""
        if self.memory.unanswered is not None:
            self._begin(self.memory.unanswered, now_s)

    def objection(self, frame: ClientFrame) -> Refusal | None:
        """What this setup forbids."""
        if (
            self._auto_vad
            and frame.message == "realtime_input"
            and ("activity_start" in frame.parts or "activity_end" in frame.parts)
        ):
            return _EXPLICIT_ACTIVITY
        return None

    def take(self, frame: ClientFrame, heard: list[HeardAudio], now_s: float) -> Refusal | None:
        """A frame of a live session."""
        refused: Refusal | None = None
        if self._refuses_pending_input and self.speaker.waiting and frame.message in _INPUT:
            refused = _NOT_IMPLEMENTED
        elif frame.message == "client_content":
            refused = self._client_content(frame.body, now_s)
        elif frame.message == "realtime_input":
            refused = self._realtime_input(frame, heard, now_s)
        elif frame.message == "tool_response":
            self._tool_response(frame.body, now_s)
        elif frame.message == "context_update":
            self._context_update(frame.body)
        if refused is None and len(self._queued) > self._bounds.queued_turns:
            refused = _RESOURCE_EXHAUSTED
        if refused is None and not self._window.holds(self.memory):
            refused = _CONTEXT_EXHAUSTED
        return refused

    def fire(self, at_s: float) -> None:
        """Send what the model has to send by `at_s`."""
        turn = self.speaker.turn
        if self.speaker.fire(at_s, self.memory, self.out) and turn is not None:
            self._session.answered_turn = turn.number
        if self._queued and not self.speaker.busy:
            turn_due, function, by_speech = self._queued.pop(0)
            self._begin(turn_due, at_s, function, by_speech)

    def interrupt(self) -> bool:
        """Interrupt the model's turn; False: there is none, or the model has no turns that could be."""
        if self._interpreter is not None:
            return False
        turn = self.speaker.turn
        waited = self.speaker.waiting
        if not self.speaker.interrupt(self.memory, self.out):
            return False
        self.memory.unanswered = None
        if waited:
            self._calls.drop_blocking(self.memory)
        if turn is not None:
            self._session.answered_turn = turn.number
        return True

    def call(self, function: Function, *, by_speech: bool = False) -> None:
        """Have the model call a function."""
        turn = self.speaker.turn
        message = self._calls.make(function, self.memory, asked=turn.asked if turn else (), by_speech=by_speech)
        self.memory.tool_calls = self.memory.tool_calls[-self._bounds.pending_calls :]
        self.speaker.call(message, function.blocking, self.memory, self.out)
        if turn is not None and self.speaker.turn is None:  # the call ended the turn
            self._session.answered_turn = turn.number

    def cancel_calls(self) -> bool:
        """Cancel all pending calls; False: there are none."""
        message = self._calls.cancel(self.memory)
        if message is None:
            return False
        self.out.append(Send(message))
        return True

    def cut(self) -> list[Effect]:
        """The connection is gone: what there is to tell of the turn in hand, and of those that waited."""
        waiting = [TurnEnded(self._connection, turn.number, "cut") for turn, *_ in self._queued]
        self._queued.clear()
        return [Tell(event) for event in (*self.speaker.cut(), *waiting)]

    def _learn(self, instruction: object) -> None:
        text = _text_of(instruction)
        if text:
            self.memory.add(text, self._service.model.understand(text).taught)

    def _context_update(self, body: Mapping[str, Any]) -> None:
        self._learn(body.get("systemInstruction"))
        tools = body.get("tools")
        if tools is not None:
            self._calls.declare(tools.get("tools") or ())

    def _client_content(self, body: Mapping[str, Any], now_s: float) -> Refusal | None:
        if self._profile.client_content == "history" and not self._initial_history:
            return _INVALID_ARGUMENT
        self.interrupt()
        model = self._service.model
        taught: dict[str, str] = {}
        for content in body.get("turns") or ():
            text = _text_of(content)
            learnt = model.understand(text).taught
            if learnt:
                taught.update(learnt)
            self.memory.add(text, learnt)
            if content.get("role") == "model":
                self._draft.clear()
                self._draft_chars = 0
            elif text:
                self._draft.append(text)
                self._draft_chars += len(text)
        while self._draft_chars > self._bounds.draft_chars and len(self._draft) > 1:
            self._draft_chars -= len(self._draft.pop(0))
        if body.get("turnComplete"):
            text = " ".join(self._draft)
            self._draft.clear()
            self._draft_chars = 0
            if self._initial_history:
                self._initial_history = False
            else:
                self._heard("text", text, tuple(taught), model.understand(text).asked, (), now_s)
        return None

    def _realtime_input(self, frame: ClientFrame, heard: list[HeardAudio], now_s: float) -> Refusal | None:
        ear = self.memory.ear
        if "activity_start" in frame.parts:
            self._interrupt_by_activity()
            ear.start()
        for ranges, pcm in heard:
            if not self._has_room(len(pcm) // 2, now_s):
                return _RESOURCE_EXHAUSTED
            hear = ear.hear_ranges(ranges, self._auto_vad) if ranges else ear.hear_unrecognised(pcm, self._auto_vad)
            if self._interpreter is not None:
                samples = len(pcm) // 2
                self.memory.context_samples += samples  # what it says is in the context, too
                self.out.extend(self._interpreter.listen(samples, voice=ear.active or bool(hear)))
            for sound in hear:
                if isinstance(sound, SpokenTurn):
                    self._spoken(sound, now_s)
                elif self._auto_vad:
                    self._activity("ACTIVITY_START")
                    self._interrupt_by_activity()
        if heard and not self._profile.speaks and ear.active:
            self._interim(ear.so_far.text)
        if "video" in frame.parts and (self._picture_at_s is None or now_s - self._picture_at_s >= _PICTURE_EVERY_S):
            self._picture_at_s = now_s
            self.memory.pictures += 1
        if "activity_end" in frame.parts or (self._auto_vad and "audio_stream_end" in frame.parts and ear.active):
            self._spoken(ear.take(), now_s)
        text = frame.body.get("text")
        if text:
            self._interrupt_by_activity()
            understood = self._service.model.understand(text)
            self.memory.add(text, understood.taught)
            self._heard("text", text, tuple(understood.taught), understood.asked, (), now_s)
        return None

    def _has_room(self, samples: int, now_s: float) -> bool:
        """Whether so much more audio is not too far ahead of real time (protocol, section 8.1)."""
        self.memory.audio_samples += samples
        self.memory.context_samples += samples
        self._ahead_s = max(0.0, self._ahead_s - (now_s - self._ahead_at_s)) + samples / SAMPLE_RATE_HZ
        self._ahead_at_s = now_s
        return self._ahead_s <= self._input_ahead_s

    def _interim(self, text: str) -> None:
        """All that was understood so far of the open segment (protocol, section 8.2)."""
        at = self.memory.audio_samples
        if text and at - self._interim_at >= _INTERIM_EVERY_SAMPLES:
            self._interim_at = at
            self.out.append(Send(wire.interim_transcription(text)))

    def _transcribed(self, spoken: SpokenTurn) -> None:
        """A segment is over, and no answer is given to it: its words are all, where a model does not talk back."""
        understood = self._service.model.understand(spoken.text)
        self.memory.add(spoken.text, understood.taught)
        self.memory.turns += 1
        number = self._service.next_turn()
        taught = tuple(understood.taught)
        heard = TurnHeard(self._connection, number, "speech", spoken.text, spoken.utterances, taught, understood.asked)
        self.out.append(Tell(heard))
        ended = TurnEnded(self._connection, number, "complete")
        if self._interpreter is not None:
            source, target = self._transcribe_input, self._transcribe_output
            self.out.extend(translated(spoken.text, source=source, target=target, ended=ended))
            return
        if spoken.text:
            self.out.append(Send(wire.server_content(input_transcription=spoken.text)))
        self.out.append(Send(wire.server_content(generation_complete=True), (ended,)))
        if self._auto_vad:
            end = wire.voice_activity("ACTIVITY_END", self.memory.audio_samples / SAMPLE_RATE_HZ)
            self.out.append(Send(wire.server_content() | end))

    def _spoken(self, spoken: SpokenTurn, now_s: float) -> None:
        if self._interpreter is not None or not self._profile.speaks:
            self._transcribed(spoken)
            return
        if self._transcribe_input and spoken.text:
            self.out.append(Send(wire.server_content(input_transcription=spoken.text)))
        if self._auto_vad:
            self._activity("ACTIVITY_END")
        understood = self._service.model.understand(spoken.text)
        self.memory.add(spoken.text, understood.taught)
        self._interrupt_by_activity()
        self._heard("speech", spoken.text, tuple(understood.taught), understood.asked, spoken.utterances, now_s)

    def _activity(self, kind: Literal["ACTIVITY_START", "ACTIVITY_END"]) -> None:
        if self._profile.voice_activity:
            self.out.append(Send(wire.voice_activity(kind, self.memory.audio_samples / SAMPLE_RATE_HZ)))
        if self._vad_signals:
            begins = kind == "ACTIVITY_START"
            self.out.append(Send(wire.vad_signal("VAD_SIGNAL_TYPE_SOS" if begins else "VAD_SIGNAL_TYPE_EOS")))

    def _tool_response(self, body: Mapping[str, Any], now_s: float) -> None:
        texts: list[str] = []
        taught: dict[str, str] = {}
        asked: list[str] = []
        for response in self._calls.take(body, self.memory):
            learnt = self._service.model.understand(response.text).taught
            self.memory.add(response.text, learnt)
            if response.scheduling == "SILENT":
                continue
            if response.scheduling == "INTERRUPT":
                self.interrupt()
            texts.append(response.text)
            taught.update(learnt)
            asked.extend(response.call.asked)
        if texts and not (self.speaker.waiting and any(call.blocking for call in self.memory.tool_calls)):
            self._heard("tool_response", " ".join(texts), tuple(taught), tuple(dict.fromkeys(asked)), (), now_s)

    def _heard(
        self,
        how: str,
        text: str,
        taught: tuple[str, ...],
        asked: tuple[str, ...],
        utterances: tuple[int, ...],
        now_s: float,
    ) -> None:
        """A whole user turn is in. If the model is (still) at another one, it comes after that."""
        number = self._service.next_turn()
        function = None
        if how != "tool_response":
            self.memory.turns += 1
            function = self._calls.wanted(text, self.memory.turns) if self._calls.functions else None
        self.out.append(Tell(TurnHeard(self._connection, number, how, text, utterances, taught, asked)))
        turn = UserTurn(number, taught, asked)
        if self.speaker.busy and not self.speaker.waiting:
            self._queued.append((turn, function, how == "speech"))
        else:
            self._begin(turn, now_s, function, how == "speech")

    def _begin(self, turn: UserTurn, now_s: float, function: Function | None = None, by_speech: bool = False) -> None:
        for event in self.speaker.superseded():
            self.out.append(Tell(event))
        self.memory.unanswered = turn
        self.speaker.begin(turn, now_s)
        if function is not None:
            self.call(function, by_speech=by_speech)
        if self.speaker.due_s <= now_s:
            self.fire(now_s)

    def _interrupt_by_activity(self) -> None:
        if self._speech_interrupts:
            self.interrupt()


def _text_of(content: object) -> str:
    """All text of a Content."""
    if type(content) is not dict:
        return ""
    texts = [part.get("text") for part in content.get("parts") or () if type(part) is dict]
    return " ".join([text for text in texts if type(text) is str and text])
