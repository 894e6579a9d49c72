from __future__ import annotations

import base64
from typing import Any, Literal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_server import wire
from fake_server.labels import Labels
from fake_server.wire.schema import ENUM_NUMBERS, ENUMS, MEMBERS, Kind, Member, camel_case, snake_case

# ---- any message of the protocol, and any way of spelling it

REFUSED_ON_THE_DEVELOPER_API = {"safetySettings", "transparent", "proactivity"}
PLAIN_JSON = st.recursive(
    st.booleans() | st.integers(-1000, 1000) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("abcXYZ_", max_size=5), inner, max_size=2),
    max_leaves=4,
)


class Written:
    """A value together with what a reader must make of it."""

    def __init__(self, json: Any, read: Any) -> None:
        self.json = json
        self.read = read


@st.composite
def scalars(draw: st.DrawFn, kind: Kind, enum: str) -> Written:
    if kind is Kind.BOOL:
        value = draw(st.booleans())
        return Written(value, value)
    if kind in (Kind.INT32, Kind.INT64):
        number = draw(st.integers(-(2**31), 2**31 - 1))
        return Written(draw(st.sampled_from([number, str(number)])), number)
    if kind is Kind.FLOAT:
        fraction = draw(st.floats(-4, 4, width=16))
        return Written(draw(st.sampled_from([fraction, str(fraction)])), fraction)
    if kind is Kind.BYTES:
        data = draw(st.binary(max_size=12))
        encode = draw(st.sampled_from([base64.standard_b64encode, base64.urlsafe_b64encode]))
        text = encode(data).decode()
        return Written(draw(st.sampled_from([text, text.rstrip("=")])), data)
    if kind is Kind.ENUM:
        name = draw(st.sampled_from(sorted(ENUMS[enum])))
        numbers = [ENUM_NUMBERS[enum].index(name)] if enum in ENUM_NUMBERS else []
        return Written(draw(st.sampled_from([name, *numbers])), name)
    if kind is Kind.JSON:
        free = draw(PLAIN_JSON)
        return Written(free, free)
    text = draw(st.text(max_size=6))
    return Written(text, text)


@st.composite
def values(draw: st.DrawFn, member: Member, depth: int) -> Written:
    def one() -> Written:
        if member.kind is Kind.MESSAGE:
            return draw(messages(member.type_name, depth + 1))
        return draw(scalars(member.kind, member.type_name))

    most = 1 if member.name in ("responseModalities", "mediaChunks") else 2
    if member.mapped:
        named = {name: one() for name in draw(st.lists(st.text("ab_C", max_size=4), max_size=2, unique=True))}
        return Written({k: v.json for k, v in named.items()}, {k: v.read for k, v in named.items()})
    if member.repeated:
        items = [one() for _ in range(draw(st.integers(0, most)))]
        return Written([item.json for item in items], [item.read for item in items])
    return one()


@st.composite
def messages(draw: st.DrawFn, type_name: str, depth: int = 0) -> Written:
    members = {member.name: member for member in MEMBERS[type_name].values()}
    names = sorted(set(members) - REFUSED_ON_THE_DEVELOPER_API)
    chosen = draw(st.lists(st.sampled_from(names), max_size=3, unique=True)) if names and depth < 4 else []
    json: dict[str, Any] = {}
    read: dict[str, Any] = {}
    for name in chosen:
        written = draw(values(members[name], depth))
        json[draw(st.sampled_from([name, members[name].snake]))] = written.json
        read[name] = written.read
    return Written(json, read)


@st.composite
def client_messages(draw: st.DrawFn) -> tuple[str, Written, bytes]:
    member = draw(st.sampled_from(sorted(set(MEMBERS["ClientMessage"].values()), key=lambda member: member.name)))
    written = draw(messages(member.type_name))
    key = draw(st.sampled_from([member.name, member.snake]))
    option = draw(st.sampled_from([0, orjson.OPT_INDENT_2]))
    return member.snake, written, orjson.dumps({key: written.json}, option=option)


@given(client_messages())
def test_every_spelling_of_a_message_reads_as_the_same_message(case: tuple[str, Written, bytes]) -> None:
    message, written, data = case
    for given_data in (data, data.decode()):
        frame = wire.parse_client_frame(given_data)
        assert [problem.text for problem in frame.problems] == []
        assert frame.message == message
        assert frame.body == written.read
        assert frame.size_bytes == len(data)
        assert set(frame.parts) - {"audio", "video"} <= {snake_case(name) for name in written.read}
        blobs = [frame.body["audio"]] if "audio" in frame.body else []
        blobs += [b for b in frame.body.get("mediaChunks", []) if b.get("mimeType", "").startswith("audio/")]
        assert [chunk.pcm for chunk in frame.audio] == [blob["data"] for blob in blobs if "data" in blob]


@given(client_messages())
def test_a_journal_can_hold_any_frame_on_one_line(case: tuple[str, Written, bytes]) -> None:
    message, _, data = case
    payload = wire.journal_payload(wire.parse_client_frame(data), Labels())
    line = orjson.dumps({"payload": payload})
    assert b"\n" not in line
    assert list(orjson.loads(line)["payload"]) == [camel_case(message)]


def client_turns(texts: list[str], complete: bool | None) -> Written:
    turns = [{"role": "user", "parts": [{"text": text}]} for text in texts]
    body: dict[str, Any] = {"turns": turns}
    if complete is not None:
        body["turnComplete"] = complete
    return Written(body, body)


@given(
    st.one_of(
        st.builds(client_turns, st.lists(st.text(max_size=5), max_size=3), st.none() | st.booleans()),
        messages("ClientContent"),
        messages("RealtimeInput"),
    ),
    st.sampled_from(["clientContent", "realtimeInput"]),
)
def test_the_short_way_reads_as_the_table_does(written: Written, key: str) -> None:
    type_name = {"clientContent": "ClientContent", "realtimeInput": "RealtimeInput"}[key]
    frame = wire.parse_client_frame(orjson.dumps({key: written.json}))
    body, problems = wire.read_message(type_name, written.json, snake_case(key))
    assert [problem.text for problem in frame.problems] == [problem.text for problem in problems]
    assert frame.body == body


# ---- the usual frames, exactly


def test_a_text_turn() -> None:
    data = b'{"clientContent":{"turns":[{"role":"user","parts":[{"text":"Hi"}]}],"turnComplete":true}}'
    frame = wire.parse_client_frame(data)
    assert (frame.message, frame.parts, frame.problems) == ("client_content", ("turns", "turn_complete"), ())
    assert frame.body["turns"][0]["parts"][0]["text"] == "Hi"
    payload = wire.journal_payload(frame, Labels())
    assert isinstance(payload, orjson.Fragment)
    assert orjson.dumps(payload) == data


def test_the_mixed_spelling_of_the_python_sdk() -> None:
    data = orjson.dumps(
        {
            "setup": {
                "model": "models/m",
                "generationConfig": {
                    "responseModalities": ["AUDIO"],
                    "speechConfig": {"voice_config": {"prebuilt_voice_config": {"voice_name": "Kore"}}},
                },
                "contextWindowCompression": {"trigger_tokens": "1000", "sliding_window": {"target_tokens": 500}},
                "sessionResumption": {},
                "realtimeInputConfig": {"automatic_activity_detection": {"disabled": True}},
            }
        }
    )
    frame = wire.parse_client_frame(data)
    assert frame.problems == ()
    assert frame.body["generationConfig"]["speechConfig"] == {
        "voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}
    }
    assert frame.body["contextWindowCompression"] == {"triggerTokens": 1000, "slidingWindow": {"targetTokens": 500}}
    assert frame.parts == (
        "model",
        "generation_config",
        "context_window_compression",
        "session_resumption",
        "realtime_input_config",
    )


@pytest.mark.parametrize("spelling", ["mimeType", "mime_type"])
def test_audio_is_decoded_and_leaves_the_journal(spelling: str) -> None:
    pcm = bytes(range(256)) * 4
    text = base64.urlsafe_b64encode(pcm).decode().rstrip("=")
    data = orjson.dumps({"realtime_input": {"audio": {spelling: "audio/pcm;rate=16000", "data": text}}})
    frame = wire.parse_client_frame(data)
    assert (frame.message, frame.parts) == ("realtime_input", ("audio",))
    assert frame.audio == (wire.AudioChunk("audio/pcm;rate=16000", pcm),)
    payload = wire.journal_payload(frame, Labels())
    assert isinstance(payload, dict)
    blob = payload["realtimeInput"]["audio"]
    assert blob == {"mimeType": "audio/pcm;rate=16000", "bytes": 1024, "digest": blob["digest"]}
    assert len(blob["digest"]) == 16


def test_media_chunks_count_as_audio_and_only_the_first_is_heard() -> None:
    chunk = {"mimeType": "audio/pcm", "data": "AAAA"}
    frame = wire.parse_client_frame(orjson.dumps({"realtimeInput": {"mediaChunks": [chunk, chunk]}}))
    assert frame.parts == ("media_chunks", "audio")
    assert [len(heard.pcm) for heard in frame.audio] == [3]


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        ({"activityStart": {}}, ("activity_start",)),
        ({"audio_stream_end": True}, ("audio_stream_end",)),
        ({"audioStreamEnd": False, "text": ""}, ()),
        ({"text": "hello"}, ("text",)),
        ({"audio": None, "text": "x"}, ("text",)),
    ],
)
def test_only_members_that_are_set_are_parts(body: dict[str, Any], parts: tuple[str, ...]) -> None:
    frame = wire.parse_client_frame(orjson.dumps({"realtimeInput": body}))
    assert (frame.parts, frame.problems) == (parts, ())


# ---- what the service refuses


def unknown(name: str, path: str) -> str:
    return f"Invalid JSON payload received. Unknown name \"{name}\" at '{path}': Cannot find field."


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"setup": {"sessionResumption": {"transparent": True}}}, unknown("transparent", "setup.session_resumption")),
        ({"setup": {"safety_settings": []}}, unknown("safety_settings", "setup")),
        (
            {"setup": {"generationConfig": {"outputAudioTranscription": {}}}},
            unknown("outputAudioTranscription", "setup.generation_config"),
        ),
        ({"setup": {"proactivity": {}}}, unknown("proactivity", "setup")),
        (
            {"setup": {"generationConfig": {"responseModalities": ["TEXT", "AUDIO"]}}},
            "Request contains an invalid argument.",
        ),
        (
            {"setup": {}, "client_content": {}},
            "Invalid value (oneof), oneof field 'message_type' is already set. Cannot set 'client_content'",
        ),
        (
            {"setup": {"generationConfig": {"temperature": "hot"}}},
            "Invalid value at 'setup.generation_config.temperature' (TYPE_FLOAT), \"hot\"",
        ),
        (
            {"realtimeInput": {"audio": {"mimeType": "audio/pcm", "data": "A*=="}}},
            "Invalid value at 'realtime_input.audio.data' (TYPE_BYTES), Base64 decoding failed for \"A*==\"",
        ),
        (
            {"clientContent": {"turnComplete": [True]}},
            "Invalid JSON payload received. Unknown name \"turn_complete\" at 'client_content': "
            "Proto field is not repeating, cannot start list.",
        ),
        (
            {"setup": {"systemInstruction": "be nice"}},
            "Invalid value at 'setup.system_instruction' "
            '(type.googleapis.com/google.ai.generativelanguage.v1beta.Content), "be nice"',
        ),
    ],
)
def test_what_the_service_is_known_to_refuse_is_fatal(document: dict[str, Any], text: str) -> None:
    frame = wire.parse_client_frame(orjson.dumps(document))
    assert frame.fatal is not None
    assert (frame.fatal.text, frame.fatal.close_code) == (text, 1007)


@pytest.mark.parametrize("data", [b"", b"hello", b"{}{}", b"[]", b"7", b'"\xff"', '{"a": "\ud800"}', b"{" * 2000])
def test_what_is_no_json_message_is_unparsable(data: bytes | str) -> None:
    frame = wire.parse_client_frame(data)
    assert frame.message == "unparsable"
    assert frame.fatal is not None
    assert frame.fatal.refusal == "unparsable"
    assert wire.journal_payload(frame, Labels()) is None


def test_bottomless_nesting_is_refused_and_never_walked() -> None:
    deep = b'{"setup":{"labels":' + b'{"a":' * 900 + b"1" + b"}" * 902
    frame = wire.parse_client_frame(deep)
    assert frame.fatal is not None
    assert "too deep" in frame.fatal.text
    assert wire.journal_payload(frame, Labels()) is None


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"setup": {"newThing": 1}}, unknown("newThing", "setup")),
        (
            {"setup": {"tools": [{"functionDeclarations": [{"parameters": {"additionalProperties": False}}]}]}},
            unknown("additionalProperties", "setup.tools[0].function_declarations[0].parameters"),
        ),
        ({"setup": {}, "trace": 1}, 'Invalid JSON payload received. Unknown name "trace": Cannot find field.'),
        ({"setup": {"generationConfig": {"responseSchema": {}}}}, "Request contains an invalid argument."),
        ({}, "Request contains an invalid argument."),
    ],
)
def test_what_only_we_do_not_know_warns_or_is_refused_as_told(document: dict[str, Any], text: str) -> None:
    data = orjson.dumps(document)
    warned = wire.parse_client_frame(data)
    assert [(problem.text, problem.fatal) for problem in warned.problems] == [(text, False)]
    refused = wire.parse_client_frame(data, unknown_fields="refuse")
    assert refused.fatal is not None
    assert refused.fatal.text == text


def test_a_value_that_only_we_do_not_know_is_kept_with_a_warning() -> None:
    setup = {"setup": {"generationConfig": {"responseModalities": ["SMELL"]}}}
    frame = wire.parse_client_frame(orjson.dumps(setup))
    assert frame.fatal is None
    assert len(frame.problems) == 1
    assert frame.body["generationConfig"]["responseModalities"] == ["SMELL"]


def test_an_enum_is_read_by_its_number_too() -> None:
    setup = {
        "generationConfig": {"responseModalities": [3]},
        "realtimeInputConfig": {
            "activity_handling": 2,
            "automaticActivityDetection": {"startOfSpeechSensitivity": 2, "endOfSpeechSensitivity": 0},
        },
        "tools": [{"functionDeclarations": [{"name": "f", "behavior": 2}]}],
    }
    frame = wire.parse_client_frame(orjson.dumps({"setup": setup}), unknown_fields="refuse")
    assert frame.problems == ()
    assert frame.body["generationConfig"]["responseModalities"] == ["AUDIO"]
    assert frame.body["realtimeInputConfig"] == {
        "activityHandling": "NO_INTERRUPTION",
        "automaticActivityDetection": {
            "startOfSpeechSensitivity": "START_SENSITIVITY_LOW",
            "endOfSpeechSensitivity": "END_SENSITIVITY_UNSPECIFIED",
        },
    }
    assert frame.body["tools"][0]["functionDeclarations"][0]["behavior"] == "NON_BLOCKING"


@pytest.mark.parametrize("number", [5, -1, 2**31 - 1])
def test_a_number_that_only_we_do_not_know_is_treated_as_a_name_that_we_do_not_know(number: int) -> None:
    data = orjson.dumps({"setup": {"generationConfig": {"responseModalities": [number]}}})
    text = (
        "Invalid value at 'setup.generation_config.response_modalities[0]' "
        f"(type.googleapis.com/google.ai.generativelanguage.v1beta.Modality), {number}"
    )
    warned = wire.parse_client_frame(data)
    assert [(problem.text, problem.fatal) for problem in warned.problems] == [(text, False)]
    assert warned.body["generationConfig"]["responseModalities"] == [number]
    refused = wire.parse_client_frame(data, unknown_fields="refuse")
    assert refused.fatal is not None
    assert refused.fatal.text == text


@pytest.mark.parametrize("value", [2**31, True, 1.5, {}])
def test_what_is_neither_a_name_nor_an_int32_is_no_value_of_an_enum(value: object) -> None:
    frame = wire.parse_client_frame(orjson.dumps({"setup": {"generationConfig": {"responseModalities": [value]}}}))
    assert frame.fatal is not None
    assert frame.fatal.refusal == "invalid_value"
    assert frame.body["generationConfig"]["responseModalities"] == []


@pytest.mark.parametrize(
    ("service", "version", "document"),
    [
        ("vertex", "v1", {"setup": {"sessionResumption": {"transparent": True}, "safetySettings": []}}),
        ("developer", "v1alpha", {"setup": {"proactivity": {"proactiveAudio": True}}}),
    ],
)
def test_what_another_service_or_version_knows_is_taken_there(
    service: Literal["developer", "vertex"], version: str, document: dict[str, Any]
) -> None:
    data = orjson.dumps(document)
    assert wire.parse_client_frame(data).fatal is not None
    assert wire.parse_client_frame(data, service=service, version=version).problems == ()


# ---- the journal's payloads

HANDLE = "0123456789abcdef0123456789abcdef0123"
TOKEN = "auth_tokens/abcdef0123456789"


def test_secrets_never_reach_the_journal() -> None:
    labels = Labels()
    labels.name("handle", HANDLE)
    labels.name("token", TOKEN)
    labels.name("key", "AIzaSyA-secret")
    documents: list[dict[str, Any]] = [
        {"setup": {"model": "m", "session_resumption": {"handle": HANDLE}}},
        {"setup": {"apiKey": "AIzaSyA-secret", "labels": {"a": [TOKEN]}}},
        {"clientContent": {"turns": [{"parts": [{"text": f"my token is {TOKEN}!"}]}]}},
        {"somethingElse": {"token": TOKEN, "other": "auth_tokens/never-seen-before"}},
    ]
    lines = [
        orjson.dumps(wire.journal_payload(wire.parse_client_frame(orjson.dumps(document)), labels)).decode()
        for document in documents
    ]
    for secret in (HANDLE, TOKEN, "AIzaSyA-secret", "never-seen-before"):
        assert all(secret not in line for line in lines)
    assert '"sessionResumption":{"handle":"handle-1"}' in lines[0]
    assert '"apiKey":"key-1"' in lines[1]
    assert "my token is token-1!" in lines[2]


@pytest.mark.parametrize(
    ("handle", "label"), [("", "empty-handle"), (HANDLE, "unknown-handle-1"), ("a", "unknown-handle-1")]
)
def test_handles_that_were_never_issued(handle: str, label: str) -> None:
    labels = Labels()
    frame = wire.parse_client_frame(orjson.dumps({"setup": {"sessionResumption": {"handle": handle}}}))
    assert wire.journal_payload(frame, labels) == {"setup": {"sessionResumption": {"handle": label}}}
    assert "a" not in labels.known  # nobody strikes out every "a" of a report


def test_a_handle_in_a_tool_response_is_no_secret() -> None:
    response = {"toolResponse": {"functionResponses": [{"id": "1", "name": "f", "response": {"handle": "@ada"}}]}}
    labels = Labels()
    assert wire.journal_payload(wire.parse_client_frame(orjson.dumps(response)), labels) == response
    assert not labels.known


def test_sent_frames_in_the_journal() -> None:
    labels = Labels()
    update = wire.session_resumption_update(HANDLE)
    assert wire.journal_payload_sent(update, wire.render(update), True, labels) == {
        "sessionResumptionUpdate": {"newHandle": "handle-1", "resumable": True}
    }
    speech = wire.server_content(audio=bytes(4800), output_transcription="hi ")
    kept = wire.journal_payload_sent(speech, wire.render(speech), True, labels)
    assert isinstance(kept, dict)
    blob = kept["serverContent"]["modelTurn"]["parts"][0]["inlineData"]
    assert (blob["mimeType"], blob["bytes"]) == ("audio/pcm;rate=24000", 4800)
    assert kept["serverContent"]["outputTranscription"] == {"text": "hi "}
    assert speech["serverContent"]["modelTurn"]["parts"][0]["inlineData"]["data"] == wire.encode_audio(bytes(4800))
    complete = wire.server_content(turn_complete=True)
    for pretty in (True, False):
        payload = wire.journal_payload_sent(complete, wire.render(complete, pretty), pretty, labels)
        assert orjson.dumps(payload) == b'{"serverContent":{"turnComplete":true}}'


# ---- server messages

USAGE = wire.usage_metadata({"AUDIO": 250, "TEXT": 0}, {"AUDIO": 25})
BUILT: list[tuple[dict[str, Any], str, tuple[str, ...]]] = [
    (wire.server_content(), "server_content", ()),
    (wire.server_content(audio=b"\0\0"), "server_content", ("audio",)),
    (wire.server_content(text="a", output_transcription="b "), "server_content", ("text", "output_transcription")),
    (wire.server_content(input_transcription="a", input_finished=True), "server_content", ("input_transcription",)),
    (wire.server_content(output_finished=True), "server_content", ("output_transcription",)),
    (wire.server_content(generation_complete=True), "server_content", ("generation_complete",)),
    (wire.server_content(turn_complete=True, usage=USAGE), "server_content", ("turn_complete", "usage_metadata")),
    (wire.server_content(interrupted=True, turn_complete=True), "server_content", ("interrupted", "turn_complete")),
    (
        wire.server_content(turn_complete=True, interaction_status="IDLE"),
        "server_content",
        ("turn_complete", "interaction_status"),
    ),
    (wire.go_away(50), "go_away", ("time_left",)),
    (wire.go_away(), "go_away", ()),
    (wire.session_resumption_update(HANDLE), "session_resumption_update", ("new_handle", "resumable")),
    (wire.session_resumption_update(None, resumable=False), "session_resumption_update", ()),
    (wire.tool_call([("fc_1", "f", {"x": 1})]), "tool_call", ("function_calls",)),
    (wire.tool_call_cancellation(["fc_1"]), "tool_call_cancellation", ("ids",)),
    (wire.voice_activity("ACTIVITY_START", 0.16), "voice_activity", ("type", "audio_offset")),
    (wire.server_content() | wire.voice_activity("ACTIVITY_END", 3.8), "server_content", ("voice_activity",)),
    ({"usageMetadata": USAGE}, "usage_metadata", tuple(map(snake_case, USAGE))),
    ({}, "empty", ()),
]


@pytest.mark.parametrize(("message", "name", "parts"), BUILT)
def test_what_is_built_is_valid_and_is_what_it_is(message: dict[str, Any], name: str, parts: tuple[str, ...]) -> None:
    assert wire.what_is(message) == (name, parts)
    assert wire.invalid_reason(message) is None
    assert orjson.loads(wire.render(message)) == orjson.loads(wire.render(message, pretty=False)) == message


def test_what_is_not_from_the_service() -> None:
    assert wire.what_is(None) == ("malformed", ())
    assert wire.what_is({"somethingNew": {"a": 1}}) == ("unknown", ())


def test_rendering_is_as_the_service_does_it() -> None:
    assert wire.render(wire.setup_complete()) == b'{\n  "setupComplete": {}\n}\n'
    assert wire.render(wire.go_away(50), pretty=False) == b'{"goAway":{"timeLeft":"50s"}}'
    assert wire.render(wire.session_resumption_update(None, resumable=False), pretty=False) == (
        b'{"sessionResumptionUpdate":{}}'
    )
    transparent = wire.session_resumption_update(HANDLE, last_consumed_index=12)
    assert transparent["sessionResumptionUpdate"]["lastConsumedClientMessageIndex"] == "12"
    assert wire.setup_complete("s-1") == {"setupComplete": {"sessionId": "s-1"}}
    assert wire.go_away(5, raw_time_left="soon", extra={"why": 1}) == {"goAway": {"timeLeft": "soon", "why": 1}}
    assert USAGE == {
        "promptTokenCount": 250,
        "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 250}],
        "responseTokenCount": 25,
        "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 25}],
        "totalTokenCount": 275,
    }
    assert "candidatesTokenCount" in wire.usage_metadata({"TEXT": 1}, {"AUDIO": 1}, service="vertex")
    assert wire.encode_audio(b"\xfb\xff") == "+/8="


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(50, "50s"), (0.16, "0.160s"), (3.8, "3.800s"), (0, "0s"), (1.5e-5, "0.000015s"), (1e-9, "0.000000001s")],
)
def test_durations(seconds: float, text: str) -> None:
    assert wire.format_duration(seconds) == text
    assert wire.invalid_reason({"goAway": {"timeLeft": text}}) is None


def content(**members: Any) -> dict[str, Any]:
    return {"serverContent": members}


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"somethingNew": {}}, "somethingNew: no such field"),
        ({"error": {"code": 400}}, "error: no such field"),
        ({"server_content": {}}, "canonical JSON spells it serverContent"),
        ({"setupComplete": {}}, "setupComplete comes once"),
        (content(turnComplete=False), "serverContent.turnComplete: true or absent"),
        (content(turnComplete=None), "serverContent.turnComplete: null is never sent"),
        (content(speechState="LOUD"), "no value of SpeechState"),
        (content(interrupted=True, generationComplete=True), "an interrupted turn has no generationComplete"),
        (content(outputTranscription={"text": 7}), "a string is due"),
        (content(modelTurn={"role": "model", "parts": []}), "a list that is not empty"),
        (
            content(modelTurn={"role": "model", "parts": [{"inlineData": {"mimeType": "audio/pcm", "data": "-_=="}}]}),
            "standard base64",
        ),
        (
            content(modelTurn={"role": "model", "parts": [{"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}}]}),
            "not audio/wav",
        ),
        ({"goAway": {"timeLeft": {"seconds": 50}}}, "a string is due"),
        ({"goAway": {"timeLeft": "50"}}, "a Duration is a string"),
        ({"goAway": {"timeLeft": "50.5s"}}, "0, 3, 6 or 9 decimals"),
        ({"goAway": {}, "toolCall": {"functionCalls": [{"name": "f"}]}}, "one message field a frame"),
        ({"sessionResumptionUpdate": {"resumable": True}}, "come together"),
        ({"sessionResumptionUpdate": {"newHandle": "h"}}, "come together"),
        (
            {
                "sessionResumptionUpdate": {
                    "newHandle": HANDLE,
                    "resumable": True,
                    "lastConsumedClientMessageIndex": "4",
                }
            },
            "by Vertex alone",
        ),
        (content(turnComplete=True) | {"usageMetadata": {"promptTokenCount": 0}}, "leaves out 0"),
        ({"usageMetadata": []}, "an object is due"),
        ({"toolCallCancellation": {"ids": [None]}}, "null is never sent"),
    ],
)
def test_what_the_service_could_not_have_sent(message: dict[str, Any], reason: str) -> None:
    assert reason in (wire.invalid_reason(message) or "nothing wrong")


def test_the_first_frame_is_setup_complete_and_nothing_else() -> None:
    assert wire.invalid_reason(wire.setup_complete(), first=True) is None
    assert "by Vertex alone" in (wire.invalid_reason(wire.setup_complete("s"), first=True) or "")
    assert wire.invalid_reason(wire.setup_complete("s"), first=True, service="vertex") is None
    both = wire.setup_complete() | wire.session_resumption_update(HANDLE)
    for message in (both, wire.server_content(), {}):
        assert "first frame must be setupComplete" in (wire.invalid_reason(message, first=True) or "")


VERTEX_USAGE = wire.usage_metadata({"AUDIO": 250}, {"AUDIO": 25}, thoughts=7, service="vertex")


@pytest.mark.parametrize(
    ("message", "service", "first", "complaint"),
    [
        (wire.tool_call([(None, "f", {})]), "developer", False, "an id"),
        (wire.tool_call([(None, "f", {})]), "vertex", False, None),
        (wire.setup_complete(), "vertex", True, "sessionId is always sent"),
        (wire.setup_complete("session-1"), "vertex", True, None),
        (wire.session_resumption_update("short"), "developer", False, "36 characters"),
        (wire.session_resumption_update(HANDLE, last_consumed_index=3), "developer", False, "transparent mode"),
        (wire.session_resumption_update(HANDLE, last_consumed_index=3), "vertex", False, None),
        (wire.go_away(raw_time_left="-5s"), "developer", False, "a Duration"),
        (wire.server_content(turn_complete=True, usage=USAGE), "vertex", False, "not in the words of this service"),
        (wire.server_content(turn_complete=True, usage=VERTEX_USAGE), "vertex", False, None),
        (wire.server_content(turn_complete=True, usage=VERTEX_USAGE), "developer", False, "not in the words"),
        ({"serverContent": {}, "usageMetadata": {**USAGE, "totalTokenCount": 9}}, "developer", False, "275 in all"),
        ({"serverContent": {}, "usageMetadata": {**USAGE, "promptTokenCount": 9}}, "developer", False, "add up"),
        ({"serverContent": {"outputTranscription": {}}}, "developer", False, "a text, or that it is finished"),
        (wire.vad_signal("VAD_SIGNAL_TYPE_SOS"), "vertex", False, None),
        (wire.server_content(text="Hm.", thought=True), "developer", False, None),
    ],
)
def test_what_one_service_sends_and_the_other_does_not(
    message: dict[str, Any], service: Any, first: bool, complaint: str | None
) -> None:
    reason = wire.invalid_reason(message, first=first, service=service)
    assert (reason is None) if complaint is None else (reason is not None and complaint in reason), reason
