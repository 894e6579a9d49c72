"""No secret survives redaction, whatever its form and wherever the stream is cut; and all else stays as it was."""

from __future__ import annotations

import base64
import itertools
import json
import time
import urllib.parse
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fake_server.labels import Labels
from harness.redaction import REDACTED, Redactor, StreamRedactor

MARKER = "3f9ab07c"
TOKEN = f"auth_tokens/{MARKER}f1e2d3c4b5a697887766554433221100ffee"
KEY = f"AIzaSy{MARKER}-Xy_Zw0123456789abcdefg"
HANDLE = f"{MARKER}-1111-4222-8333-abcdefabcde"
LABELS = {TOKEN: "token-1", KEY: "key-1", HANDLE: "handle-1"}
SECRETS = sorted(LABELS)


def redactor() -> Redactor:
    made = Redactor(MARKER)
    labels = Labels(made.learn)
    for secret, label in LABELS.items():
        assert labels.name(label.rpartition("-")[0], secret) == label
    return made


def url_lower(secret: str) -> str:
    return urllib.parse.quote(secret, safe="").replace("%2F", "%2f")


def json_all_escaped(secret: str) -> str:
    return "".join(c if c.isalnum() else f"\\u{ord(c):04x}" for c in secret)


PLAIN_FORMS: dict[str, Callable[[str], str]] = {
    "whole": str,
    "URL-escaped": lambda s: urllib.parse.quote(s, safe=""),
    "URL-escaped, lower case": url_lower,
    "URL-escaped twice": lambda s: urllib.parse.quote(urllib.parse.quote(s, safe=""), safe=""),
    "JSON with escaped slash": lambda s: json.dumps(s)[1:-1].replace("/", "\\/"),
    "JSON in JSON": lambda s: json.dumps(json.dumps(s).replace("/", "\\/"))[1:-1],
    "JSON with \\u": json_all_escaped,
}
ENCODERS = {"standard": base64.b64encode, "URL-safe": base64.urlsafe_b64encode}


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("form", PLAIN_FORMS)
def test_a_known_secret_becomes_its_label_and_its_surroundings_stay(secret: str, form: str) -> None:
    text = f"GET wss://127.0.0.1:1/ws?access_token={PLAIN_FORMS[form](secret)}&alt=json é HTTP/1.1"
    left = redactor().redact_text(text)
    for quote in ('\\"', ""):  # JSON in JSON brings its own quotes
        left = left.replace(f"{quote}{LABELS[secret]}{quote}", "LABEL")
    assert left == "GET wss://127.0.0.1:1/ws?access_token=LABEL&alt=json é HTTP/1.1"


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("alphabet", ENCODERS)
@pytest.mark.parametrize("before", range(7))
@pytest.mark.parametrize("after", range(4))
def test_base64_in_every_alignment_inside_longer_text(secret: str, alphabet: str, before: int, after: int) -> None:
    encoded = ENCODERS[alphabet](b"\xfb" * before + secret.encode() + b"\xff" * after).decode()
    assert redactor().redact_text(f'{{"data": "{encoded}", "x": 1}}') == (
        f'{{"data": "[base64 of {LABELS[secret]}]", "x": 1}}'
    )


def test_base64_with_url_escapes_or_padding_left_out() -> None:
    encoded = base64.b64encode(b'{"apiKey": "' + KEY.encode() + b'", "n": "\xff\xfe\xfb\xff"}').decode()
    clean = redactor()
    for form in (urllib.parse.quote(encoded, safe=""), encoded.rstrip("="), encoded.replace("/", "\\/")):
        assert clean.redact_text(f"state={form} end") == "state=[base64 of key-1] end"


@pytest.mark.parametrize("piece", [TOKEN[:24], TOKEN[10:30], HANDLE[:-1], KEY[3:15], MARKER, "prefix_" + HANDLE[:12]])
def test_a_piece_of_a_secret_is_redacted_with_all_that_sticks_to_it(piece: str) -> None:
    assert redactor().redact_text(f"using {piece}... ok") == f"using {REDACTED} ok"


def test_a_secret_that_was_never_learnt_is_redacted_by_its_marker() -> None:
    assert Redactor(MARKER).redact_text(f"[{TOKEN}]") == f"[{REDACTED}]"
    encoded = base64.b64encode(f"xx{TOKEN}".encode()).decode()
    assert Redactor(MARKER).redact_text(f"'{encoded}'") == f"'{REDACTED}'"


def test_several_servers_of_one_run_each_have_their_marker() -> None:
    both = Redactor(MARKER, "00ff00aa")
    assert both.redact_text(f"a {TOKEN} b x00ff00aay c") == f"a {REDACTED} b {REDACTED} c"


def test_what_was_learnt_before_its_marker_is_ours_all_the_same() -> None:
    late = Redactor()
    late.learn(KEY, "key-1")
    assert late.redact_text(f"a {KEY} {KEY[:30]} b") == f"a key-1 {KEY[:30]} b"
    late.mark(MARKER)
    assert late.redact_text(f"a {KEY}x {KEY[:30]} b") == f"a key-1x {REDACTED} b"


def test_clean_text_comes_back_as_the_same_object() -> None:
    line = b'{"n":12,"t":3.1,"kind":"frame.sent","credentials":"auth_tokens/not-ours-0123456789"}\n' * 100
    assert redactor().redact(line) is line


# --- secrets that are not ours ---------------------------------------------------------------------------------------

OWN_KEY = "AIzaSyD-real_key-0f1e2d3c4b5a"


def test_a_key_that_the_client_brought_along_is_redacted_whole() -> None:
    clean = redactor()
    clean.learn(OWN_KEY, "unknown-credential-1")
    assert clean.redact_text(f"?key={OWN_KEY}&x") == "?key=unknown-credential-1&x"
    assert clean.redact_text(f"{OWN_KEY}7") == f"{OWN_KEY}7"  # a longer word is another word
    for before in range(3):
        encoded = base64.b64encode(b":" * before + OWN_KEY.encode() + b":").decode()
        assert clean.redact_text(f"Basic {encoded}") == "Basic [base64 of unknown-credential-1]"


@pytest.mark.parametrize("word", ["credentials", "session_resumption_update", "short1", "", "é", "\ud800"])
def test_an_ordinary_word_shown_as_a_credential_does_not_spoil_the_journal(word: str) -> None:
    clean = redactor()
    clean.learn(word, "unknown-credential-1")
    line = f'{{"kind":"x","credentials":["short1"],"message":"session_resumption_update {word}"}}'
    assert clean.redact_text(line) == line


def test_a_client_that_guesses_endlessly_does_not_slow_us_down() -> None:
    clean = Redactor(MARKER)
    for number in range(2000):
        clean.learn(f"guessed-credential-{number}", f"unknown-credential-{number}")
    assert clean.redact_text("guessed-credential-3") == "unknown-credential-3"
    started_s = time.process_time()
    for _ in range(100):
        clean.redact(b"a line without anything in it " * 20)
    assert time.process_time() - started_s < 1.0


# --- properties ------------------------------------------------------------------------------------------------------

FORMS: list[Callable[[str], str]] = [
    *PLAIN_FORMS.values(),
    *(
        lambda s, encode=encode, before=before: encode(b"z" * before + s.encode() + b"\xfb\xff").decode()
        for encode in ENCODERS.values()
        for before in range(3)
    ),
]
AROUND = st.text('ab09_-+/=.~%\\u"{} :,?&\n\réz', max_size=30)


def survives(text: str) -> list[str]:
    """12-character pieces of a secret that can still be read in `text`, in any of the forms."""
    pieces = {secret[at : at + 12] for secret in SECRETS for at in range(len(secret) - 11)}
    # A piece in base64 has 14 or more characters that depend on it alone, in one of three alignments.
    for secret in SECRETS:
        for before in range(3):
            encoded = base64.b64encode(b"\0" * before + secret.encode()).decode()
            pieces |= {encoded[at : at + 16] for at in range(4, len(encoded) - 20)}
    views = (
        text,
        urllib.parse.unquote(urllib.parse.unquote(text)),
        text.replace("\\", ""),
        text.replace("\\u002f", "/"),
    )
    pieces -= {"auth_tokens/"}  # no secret
    return [piece for view in views for piece in pieces if piece in view]


@settings(max_examples=300, deadline=None)
@given(
    secret=st.sampled_from(SECRETS),
    form=st.sampled_from(FORMS),
    before=AROUND,
    after=AROUND,
    cuts=st.lists(st.integers(0, 160), max_size=8),
)
@example(secret=HANDLE, form=str, before="path\\", after="", cuts=[])
@example(secret=HANDLE, form=str, before="100%", after="", cuts=[3])
@example(secret=HANDLE, form=str, before="\\u", after="\\", cuts=[3])
@example(secret=KEY, form=str, before="\\\\", after="\\", cuts=[1, 9, 12])
def test_no_piece_of_a_secret_survives_any_form_surroundings_or_cut(
    secret: str, form: Callable[[str], str], before: str, after: str, cuts: list[int]
) -> None:
    data = (before + form(secret) + after).encode()
    clean = redactor()
    whole = clean.redact(data)
    assert survives(whole.decode()) == []
    stream = StreamRedactor(clean)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [stream.feed(data[a:b]) for a, b in itertools.pairwise(edges)]
    assert b"".join([*pieces, stream.flush()]) == whole


TEXT_WITH_SECRET = st.tuples(AROUND, st.sampled_from(SECRETS), AROUND).map("".join)


@settings(max_examples=200, deadline=None)
@given(text=TEXT_WITH_SECRET, layers=st.integers(1, 3), escape_slash=st.booleans())
def test_json_stays_json_and_lines_stay_lines(text: str, layers: int, escape_slash: bool) -> None:
    line = text
    for _ in range(layers):
        line = json.dumps({"text": line, "n": 1})
        if escape_slash:
            line = line.replace("/", "\\/")
    clean = redactor().redact_text(line)
    assert json.loads(clean)["n"] == 1
    assert survives(clean) == []


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_a_stream_without_secrets_passes_unchanged(data: bytes, cuts: list[int]) -> None:
    stream = StreamRedactor(redactor())
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [stream.feed(data[a:b]) for a, b in itertools.pairwise(edges)]
    assert b"".join([*pieces, stream.flush()]) == data


# --- streams ---------------------------------------------------------------------------------------------------------


def test_a_whole_line_is_passed_on_at_once() -> None:
    assert StreamRedactor(redactor()).feed(b'{"event":"hello"}\n') == b'{"event":"hello"}\n'


def test_an_endless_run_is_passed_on_with_little_held_back() -> None:
    stream = StreamRedactor(redactor())
    passed = sum(len(stream.feed(b"A" * 65_536)) for _ in range(100))
    assert 0 < 100 * 65_536 - passed <= 16 * 1024
    assert passed + len(stream.flush()) == 100 * 65_536


@pytest.mark.parametrize("position", [0, 1, 4000, 16_300, 16_384, 20_000, 65_530, 70_000])
@pytest.mark.parametrize("piece_bytes", [997, 65_536])
def test_a_secret_in_an_endless_run_is_caught_wherever_it_stands(position: int, piece_bytes: int) -> None:
    data = b"A" * position + TOKEN.encode() + b"A" * 50_000 + b" after"
    stream = StreamRedactor(redactor())
    out = b"".join(stream.feed(data[at : at + piece_bytes]) for at in range(0, len(data), piece_bytes)) + stream.flush()
    assert survives(out.decode()) == []
    assert out.endswith(b" after")
    assert out.count(REDACTED.encode()) + out.count(b"token-1") == 1


def test_the_next_token_after_an_endless_run_is_seen_again() -> None:
    stream = StreamRedactor(redactor())
    out = (
        stream.feed(MARKER.encode() * 10_000)
        + stream.feed(b"AAA")
        + stream.feed(f"A {KEY} x".encode())
        + stream.flush()
    )
    assert out == REDACTED.encode() + b" key-1 x"
