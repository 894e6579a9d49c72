package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"google.golang.org/genai"
)

// patience ends every wait of the tour.
const patience = 10 * time.Second

// tokenVersion is the only API version with which this SDK takes an ephemeral token.
const tokenVersion = "v1alpha"

var errTooLate = errors.New("nothing came in time")

// A received is what one call of Receive returned.
type received struct {
	message *genai.LiveServerMessage
	err     error
}

// A call is one open session. A goroutine reads it all the time, as an app does: Receive blocks, and takes no context.
type call struct {
	session *genai.Session
	inbox   chan received
	ended   chan struct{}
}

// handles keeps the newest resumption handle of all calls.
type handles struct {
	lock   sync.Mutex
	newest string
}

func (h *handles) keep(update *genai.LiveServerSessionResumptionUpdate) {
	if update != nil && update.Resumable && update.NewHandle != "" {
		h.lock.Lock()
		h.newest = update.NewHandle
		h.lock.Unlock()
	}
}

func (h *handles) get() string {
	h.lock.Lock()
	defer h.lock.Unlock()
	return h.newest
}

// newClient leaves to the SDK what it finds by itself: the base URL, and, without a credential, the key.
func newClient(ctx context.Context, credential, version string) (*genai.Client, error) {
	return genai.NewClient(ctx, &genai.ClientConfig{
		APIKey:      credential,
		Backend:     genai.BackendGeminiAPI,
		HTTPOptions: genai.HTTPOptions{APIVersion: version},
	})
}

// mint makes a token for one session.
func mint() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client, err := newClient(ctx, "", tokenVersion)
	if err != nil {
		return "", err
	}
	token, err := client.AuthTokens.Create(ctx, &genai.CreateAuthTokenConfig{Uses: genai.Ptr(int32(1))})
	if err != nil {
		return "", err
	}
	return token.Name, nil
}

// dial opens a session; credential "" is the key of the environment, handle "" a new session.
func dial(credential, version, model, handle string, kept *handles) (*call, error) {
	client, err := newClient(context.Background(), credential, version)
	if err != nil {
		return nil, err
	}
	type outcome struct {
		session *genai.Session
		err     error
	}
	done := make(chan outcome, 1)
	go func() { // Connect waits for setupComplete without end, whatever its context says
		session, err := client.Live.Connect(context.Background(), model, config(handle))
		done <- outcome{session, err}
	}()
	select {
	case <-time.After(patience):
		return nil, errTooLate
	case got := <-done:
		if got.err != nil {
			return nil, got.err
		}
		made := &call{got.session, make(chan received, 10000), make(chan struct{})}
		go made.read(kept)
		return made, nil
	}
}

// redial resumes the newest handle with a fresh token. Since a session is left without a close frame, the service may
// take it for dropped: it refuses to resume it for about a second then, by 1011. So this tries again, like an app.
func redial(model string, kept *handles) (made *call, refused bool, err error) {
	handle := kept.get()
	if handle == "" {
		return nil, false, errors.New("no handle came")
	}
	deadline := time.Now().Add(patience)
	for {
		token, err := mint()
		if err != nil {
			return nil, refused, err
		}
		made, err := dial(token, tokenVersion, model, handle, kept)
		if !websocket.IsCloseError(closeError(err), websocket.CloseInternalServerErr) || time.Now().After(deadline) {
			return made, refused, err
		}
		refused = true
		time.Sleep(time.Second)
	}
}

// closeError is the close frame inside an error of the SDK, or the error as it is.
func closeError(err error) error {
	if closed := (*websocket.CloseError)(nil); errors.As(err, &closed) {
		return closed
	}
	return err
}

func config(handle string) *genai.LiveConnectConfig {
	return &genai.LiveConnectConfig{
		ResponseModalities:       []genai.Modality{genai.ModalityAudio},
		SessionResumption:        &genai.SessionResumptionConfig{Handle: handle},
		InputAudioTranscription:  &genai.AudioTranscriptionConfig{},
		OutputAudioTranscription: &genai.AudioTranscriptionConfig{},
		Tools: []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{{
			Name:        "look_up",
			Description: "Looks a place up.",
			Behavior:    genai.BehaviorBlocking,
			Parameters: &genai.Schema{
				Type:       genai.TypeObject,
				Properties: map[string]*genai.Schema{"place": {Type: genai.TypeString}},
				Required:   []string{"place"},
			},
		}}}},
	}
}

func (c *call) read(kept *handles) {
	defer close(c.ended)
	for {
		message, err := c.session.Receive()
		if err == nil {
			kept.keep(message.SessionResumptionUpdate)
		}
		c.inbox <- received{message, err}
		if err != nil {
			return
		}
	}
}

// next is the next message, waited for until the deadline.
func (c *call) next(deadline time.Time) (*genai.LiveServerMessage, error) {
	select {
	case got := <-c.inbox:
		return got.message, got.err
	case <-time.After(time.Until(deadline)):
		return nil, errTooLate
	}
}

func (c *call) say(text string) error {
	return c.session.SendClientContent(genai.LiveClientContentInput{
		Turns:        []*genai.Content{genai.NewContentFromText(text, genai.RoleUser)},
		TurnComplete: genai.Ptr(true),
	})
}

// speak streams a WAV file in real time, 100 ms at a time.
func (c *call) speak(path string) error {
	samples, err := pcm(path)
	if err != nil {
		return err
	}
	const chunk = 16000 / 10 * 2
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for start := 0; start < len(samples); start += chunk {
		piece := samples[start:min(start+chunk, len(samples))]
		err := c.session.SendRealtimeInput(genai.LiveRealtimeInput{
			Audio: &genai.Blob{Data: piece, MIMEType: "audio/pcm;rate=16000"},
		})
		if err != nil {
			return err
		}
		<-tick.C
	}
	return nil
}

// close ends the call, and waits until the reader has noticed.
func (c *call) close() error {
	if err := c.session.Close(); err != nil {
		return err
	}
	select {
	case <-c.ended:
		return nil
	case <-time.After(patience):
		return errTooLate
	}
}

// pcm is the samples of a WAV file: what its chunk `data` holds.
func pcm(path string) ([]byte, error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for at := 12; at+8 <= len(file); {
		size := int(file[at+4]) | int(file[at+5])<<8 | int(file[at+6])<<16 | int(file[at+7])<<24
		if string(file[at:at+4]) == "data" {
			return file[at+8 : min(at+8+size, len(file))], nil
		}
		at += 8 + size + size%2
	}
	return nil, fmt.Errorf("%s has no samples in it", path)
}
