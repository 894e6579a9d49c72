// A tour of google.golang.org/genai: what this SDK can do with the fake service, step by step (see ../README.md).
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gorilla/websocket"
	"google.golang.org/genai"
)

const module = "google.golang.org/genai"

const missingModel = "gemini-none-live"

var (
	errNoSession = errors.New("no session")

	// Not possible: the SDK gives no other way to end a session.
	errNoCloseFrame = errors.New("Session.Close sends no close frame, it only closes the TCP link")
)

type fields = map[string]any

type tour struct {
	model   string
	token   string
	call    *call
	handles handles
	spoken  turn // the answer of audio_turn
}

// A turn is what came from a user's turn to its turnComplete.
type turn struct {
	input, heard string
	audioBytes   int
	interrupted  bool
	toolCalls    []*genai.FunctionCall
	goAway       *genai.LiveServerGoAway
}

func main() {
	tell(fields{"event": "hello", "client": module, "version": version()})
	t := &tour{model: os.Getenv("HARNESS_MODEL")}
	for _, step := range []struct {
		name string
		do   func() (fields, string, error)
	}{
		{"mint_token", t.mintToken},
		{"dial_key", t.dialKey},
		{"refusal", t.refusal},
		{"dial_token", t.dialToken},
		{"text_turn", t.inSession(t.textTurn)},
		{"audio_turn", t.inSession(t.audioTurn)},
		{"transcriptions", t.inSession(t.transcriptions)},
		{"tool_call", t.inSession(t.toolCall)},
		{"interruption", t.inSession(t.interruption)},
		{"resumption", t.inSession(t.resumption)},
		{"go_away", t.inSession(t.goAway)},
		{"hang_up", t.inSession(t.hangUp)},
	} {
		saw, remark, err := step.do()
		line := fields{"event": "step", "step": step.name, "status": "done", "saw": saw}
		if saw == nil {
			line["saw"] = fields{}
		}
		if err != nil {
			line["status"], remark = "failed", err.Error()
		}
		if err == errNoCloseFrame {
			line["status"] = "not_possible"
		}
		if remark != "" {
			line["reason"] = remark
		}
		tell(line)
	}
}

func (t *tour) inSession(do func() (fields, string, error)) func() (fields, string, error) {
	return func() (fields, string, error) {
		if t.call == nil {
			return nil, "", errNoSession
		}
		return do()
	}
}

func (t *tour) mintToken() (fields, string, error) {
	token, err := mint()
	if err != nil {
		return nil, "", err
	}
	t.token = token
	return fields{"token": token}, "", nil
}

func (t *tour) dialKey() (fields, string, error) {
	call, err := dial("", "", t.model, "", &handles{})
	if err != nil {
		return nil, "", err
	}
	return nil, "", call.close()
}

func (t *tour) refusal() (fields, string, error) {
	call, err := dial("", "", missingModel, "", &handles{})
	if err == nil {
		call.close()
		return nil, "", errors.New("the dial was not refused")
	}
	if errors.Is(err, errTooLate) {
		return nil, "", err
	}
	saw := fields{"code": nil, "text": err.Error()}
	if closed := (*websocket.CloseError)(nil); errors.As(err, &closed) {
		saw["code"] = closed.Code
	}
	return saw, "the error of Connect wraps gorilla's CloseError", nil
}

func (t *tour) dialToken() (fields, string, error) {
	if t.token == "" {
		return nil, "", errors.New("no token")
	}
	call, err := dial(t.token, tokenVersion, t.model, "", &t.handles)
	if err != nil {
		return nil, "", err
	}
	t.call = call
	return nil, "the SDK takes a token with " + tokenVersion + " only", nil
}

func (t *tour) textTurn() (fields, string, error) {
	const text = "My city is Lisbon."
	got, err := t.sayAndHear(text)
	return fields{"said": text, "heard": got.heard, "audio_bytes": got.audioBytes}, "", err
}

func (t *tour) audioTurn() (fields, string, error) {
	if err := t.call.speak(os.Getenv("TOUR_SPEECH_WAV")); err != nil {
		return nil, "", err
	}
	got, err := t.hear(spokenTurn)
	t.spoken = got
	return fields{"heard": got.heard, "audio_bytes": got.audioBytes}, "", err
}

func (t *tour) transcriptions() (fields, string, error) {
	saw := fields{"input": t.spoken.input, "output": t.spoken.heard}
	if t.spoken.input == "" || t.spoken.heard == "" {
		return saw, "", errors.New("a transcription did not come")
	}
	return saw, "", nil
}

func (t *tour) toolCall() (fields, string, error) {
	if err := t.call.say("Please call the tool."); err != nil {
		return nil, "", err
	}
	got, err := t.hear(func(_ *genai.LiveServerMessage, so *turn) bool { return len(so.toolCalls) > 0 })
	if err != nil {
		return nil, "", err
	}
	called := got.toolCalls[0]
	saw := fields{"id": called.ID, "name": called.Name, "args": called.Args}
	err = t.call.session.SendToolResponse(genai.LiveToolResponseInput{
		FunctionResponses: []*genai.FunctionResponse{{
			ID: called.ID, Name: called.Name, Response: fields{"place": "Lisbon"},
		}},
	})
	if err != nil {
		return saw, "", err
	}
	answer, err := t.hear(spokenTurn)
	saw["heard"] = answer.heard
	return saw, "", err
}

func (t *tour) interruption() (fields, string, error) {
	if err := t.call.say("Tell me a story."); err != nil {
		return nil, "", err
	}
	if _, err := t.hear(func(_ *genai.LiveServerMessage, so *turn) bool { return so.audioBytes > 0 }); err != nil {
		return nil, "", err
	}
	if err := t.call.say("Stop, please."); err != nil {
		return nil, "", err
	}
	first, err := t.hear(turnComplete) // its audio was heard above, so this one counts none
	saw := fields{"interrupted": first.interrupted}
	if err != nil {
		return saw, "", err
	}
	if !first.interrupted {
		return saw, "", errors.New("the first turn was not interrupted")
	}
	second, err := t.hear(spokenTurn)
	saw["heard"] = second.heard
	return saw, "", err
}

func (t *tour) resumption() (fields, string, error) {
	return t.resume(fields{})
}

func (t *tour) goAway() (fields, string, error) {
	saw := fields{"time_left_s": nil}
	if err := t.call.say("Please end this connection."); err != nil {
		return saw, "", err
	}
	complete := false
	got, err := t.hear(func(message *genai.LiveServerMessage, so *turn) bool {
		complete = complete || spokenTurn(message, so)
		return complete && so.goAway != nil
	})
	if got.goAway != nil && got.goAway.TimeLeft != 0 {
		saw["time_left_s"] = got.goAway.TimeLeft.Seconds()
	}
	if err != nil {
		return saw, "", err
	}
	return t.resume(saw)
}

func (t *tour) hangUp() (fields, string, error) {
	if err := t.call.close(); err != nil {
		return nil, "", err
	}
	return nil, "", errNoCloseFrame
}

// resume closes the call, resumes it by the newest handle, and asks for the fact that was told before.
func (t *tour) resume(saw fields) (fields, string, error) {
	closed := t.call.close()
	t.call = nil
	if closed != nil {
		return saw, "", closed
	}
	saw["handle"] = t.handles.get()
	call, refused, err := redial(t.model, &t.handles)
	if err != nil {
		return saw, "", err
	}
	t.call = call
	remark := ""
	if refused {
		remark = "without a close frame the session counts as dropped, and a resume right after it is refused"
	}
	got, err := t.sayAndHear("What is my city?")
	saw["heard"] = got.heard
	return saw, remark, err
}

func (t *tour) sayAndHear(text string) (turn, error) {
	if err := t.call.say(text); err != nil {
		return turn{}, err
	}
	return t.hear(spokenTurn)
}

// spokenTurn passes over a turnComplete without a word before it, as one that goes with a tool call.
func spokenTurn(message *genai.LiveServerMessage, so *turn) bool {
	return turnComplete(message, so) && so.audioBytes > 0
}

func turnComplete(message *genai.LiveServerMessage, _ *turn) bool {
	return message.ServerContent != nil && message.ServerContent.TurnComplete
}

// hear gathers what comes, until `enough` says so of the last message and all that has come.
func (t *tour) hear(enough func(*genai.LiveServerMessage, *turn) bool) (turn, error) {
	got := turn{}
	deadline := time.Now().Add(patience)
	for {
		message, err := t.call.next(deadline)
		if err != nil {
			return got, err
		}
		got.add(message)
		if enough(message, &got) {
			return got, nil
		}
	}
}

func (got *turn) add(message *genai.LiveServerMessage) {
	if message.ToolCall != nil {
		got.toolCalls = append(got.toolCalls, message.ToolCall.FunctionCalls...)
	}
	if message.GoAway != nil {
		got.goAway = message.GoAway
	}
	content := message.ServerContent
	if content == nil {
		return
	}
	got.interrupted = got.interrupted || content.Interrupted
	if content.InputTranscription != nil {
		got.input += content.InputTranscription.Text
	}
	if content.OutputTranscription != nil {
		got.heard += content.OutputTranscription.Text
	}
	if content.ModelTurn != nil {
		for _, part := range content.ModelTurn.Parts {
			if part.InlineData != nil {
				got.audioBytes += len(part.InlineData.Data)
			}
		}
	}
}

func tell(event fields) {
	line, err := json.Marshal(event)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}

// version is the SDK's, as it was built into this program.
func version() string {
	if built, ok := debug.ReadBuildInfo(); ok {
		for _, one := range built.Deps {
			if one.Path == module {
				return strings.TrimPrefix(one.Version, "v")
			}
		}
	}
	return "unknown"
}
