// The tour of @google/genai: twelve things done with the fake service through the SDK's public API (see ../README.md).
// The same program runs on several versions: the SDK comes from the node_modules of the folder that it is started in.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const PACKAGE = '@google/genai';
const { GoogleGenAI } = createRequire(join(process.cwd(), 'tour.json'))(PACKAGE);
const version = JSON.parse(readFileSync(join('node_modules', PACKAGE, 'package.json'), 'utf8')).version;

const STEP_WITHIN_MS = 15_000;
const SETTLES_WITHIN_MS = 1_000;
const CHUNK_MS = 100;
const WAV_HEADER_BYTES = 44;
const CHUNK_BYTES = (16_000 * 2 * CHUNK_MS) / 1000;
const TOKENS = { apiVersion: 'v1alpha' }; // what the SDK asks for where tokens are concerned
const LOOK_UP = {
  name: 'look_up',
  description: 'Looks a place up.',
  behavior: 'BLOCKING',
  parameters: { type: 'OBJECT', properties: { place: { type: 'STRING' } }, required: ['place'] },
};

const tell = (event, more) => console.log(JSON.stringify({ event, ...more }));
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

class Failed extends Error {}

/** What came of one turn of the model. `userSaid` is the transcription of the user's speech. */
const newTurn = () => ({ heard: '', audioBytes: 0, userSaid: '', interrupted: false });

/** One session, and what it brought. */
class Call {
  session = null;
  ready = false; // setupComplete has come
  closed = null; // the close event
  error = null;
  turn = newTurn();
  ended = [];
  handle = undefined;
  goAway = null;
  toolCall = null;
  waiting = new Set();

  callbacks = {
    onopen: () => {},
    onmessage: (message) => this.take(message),
    onerror: (event) => this.change(() => (this.error = event)),
    onclose: (event) => this.change(() => (this.closed = event)),
  };

  change(how) {
    how();
    for (const check of this.waiting) check();
  }

  take(message) {
    this.change(() => {
      if (message.setupComplete) this.ready = true;
      const update = message.sessionResumptionUpdate;
      if (update?.resumable && update.newHandle) this.handle = update.newHandle;
      if (message.goAway) this.goAway = message.goAway;
      if (message.toolCall?.functionCalls?.length) this.toolCall = message.toolCall.functionCalls[0];
      const content = message.serverContent;
      if (!content) return;
      for (const part of content.modelTurn?.parts ?? []) {
        if (part.inlineData) this.turn.audioBytes += Buffer.from(part.inlineData.data, 'base64').length;
      }
      this.turn.heard += content.outputTranscription?.text ?? '';
      this.turn.userSaid += content.inputTranscription?.text ?? '';
      if (content.interrupted) this.turn.interrupted = true;
      if (content.turnComplete) {
        this.ended.push(this.turn);
        this.turn = newTurn();
      }
    });
  }

  /** Wait; fails when the session ends first. */
  until(condition) {
    return new Promise((resolve, reject) => {
      const check = () => {
        const met = condition();
        if (!met && !this.closed) return;
        this.waiting.delete(check);
        if (met) resolve();
        else reject(new Failed(`the session was closed: ${this.closed.code} ${this.closed.reason}`));
      };
      this.waiting.add(check);
      check();
    });
  }

  say(text) {
    this.session.sendClientContent({ turns: [{ role: 'user', parts: [{ text }] }], turnComplete: true });
  }

  /** The next turn that ends, and that the model spoke in. */
  async nextTurn() {
    await this.until(() => this.ended.some((turn) => turn.audioBytes));
    const spoken = this.ended.find((turn) => turn.audioBytes);
    this.ended = [];
    return spoken;
  }

  async close() {
    this.session.close();
    await this.until(() => this.closed);
  }
}

function connect(ai, model, call, handle) {
  return ai.live.connect({
    model,
    callbacks: call.callbacks,
    config: {
      responseModalities: ['AUDIO'],
      sessionResumption: handle === undefined ? {} : { handle },
      inputAudioTranscription: {},
      outputAudioTranscription: {},
      tools: [{ functionDeclarations: [LOOK_UP] }],
    },
  });
}

async function dial(ai, handle) {
  const call = new Call();
  call.session = await connect(ai, process.env.HARNESS_MODEL, call, handle);
  await call.until(() => call.ready); // 1.x returns a session before that
  return call;
}

const withToken = (token) => new GoogleGenAI({ apiKey: token, httpOptions: TOKENS });

async function mint() {
  const token = await new GoogleGenAI({ httpOptions: TOKENS }).authTokens.create({ config: { uses: 1 } });
  return token.name;
}

let token = null;
let current = null;
let spoken = newTurn();

function live() {
  if (!current) throw new Failed('no session');
  return current;
}

/** Close, and resume with the newest handle and a fresh token. Returns the handle. */
async function redial() {
  const old = live();
  current = null;
  await old.close();
  current = await dial(withToken(await mint()), old.handle);
  return old.handle;
}

const steps = {
  async mint_token() {
    token = await mint();
    return { saw: { token } };
  },

  async dial_key() {
    const call = await dial(new GoogleGenAI({}));
    await call.close();
    return { saw: {} };
  },

  async refusal() {
    const call = new Call();
    let settled = null;
    const connecting = connect(new GoogleGenAI({}), 'gemini-none-live', call).then(
      () => (settled = { returned: true }),
      (error) => (settled = { error }),
    );
    await call.until(() => call.closed);
    await Promise.race([connecting, sleep(SETTLES_WITHIN_MS)]);
    const saw = { code: call.closed.code, text: settled?.error?.message ?? call.closed.reason };
    if (settled === null) return { saw, reason: 'connect() never returns, and never fails; only onclose tells' };
    if (settled.returned) return { saw, reason: 'connect() has returned a session by then; onclose tells' };
    return { saw };
  },

  async dial_token() {
    if (!token) throw new Failed('there is no token');
    current = await dial(withToken(token));
    return { saw: {} };
  },

  async text_turn() {
    const said = 'My city is Lisbon.';
    live().say(said);
    const turn = await live().nextTurn();
    return { saw: { said, heard: turn.heard, audio_bytes: turn.audioBytes } };
  },

  async audio_turn() {
    const call = live();
    const pcm = readFileSync(process.env.TOUR_SPEECH_WAV).subarray(WAV_HEADER_BYTES);
    const began = performance.now();
    for (let at = 0, count = 1; at < pcm.length; at += CHUNK_BYTES, count += 1) {
      await sleep(began + count * CHUNK_MS - performance.now());
      const data = pcm.subarray(at, at + CHUNK_BYTES).toString('base64');
      call.session.sendRealtimeInput({ audio: { data, mimeType: 'audio/pcm;rate=16000' } });
    }
    spoken = await call.nextTurn();
    return { saw: { heard: spoken.heard, audio_bytes: spoken.audioBytes } };
  },

  async transcriptions() {
    return { saw: { input: spoken.userSaid, output: spoken.heard } };
  },

  async tool_call() {
    const call = live();
    call.say('Please call the tool.');
    await call.until(() => call.toolCall);
    const { id, name, args } = call.toolCall;
    call.ended = [];
    call.session.sendToolResponse({ functionResponses: [{ id, name, response: { place: 'Lisbon' } }] });
    const turn = await call.nextTurn();
    return { saw: { id, name, args, heard: turn.heard } };
  },

  async interruption() {
    const call = live();
    call.say('Tell me a story.');
    await call.until(() => call.turn.audioBytes);
    call.say('Stop, please.');
    await call.until(() => call.ended.some((turn) => turn.interrupted));
    call.ended = [];
    const turn = await call.nextTurn();
    return { saw: { interrupted: true, heard: turn.heard } };
  },

  async resumption() {
    const handle = await redial();
    live().say('What is my city?');
    const turn = await live().nextTurn();
    return { saw: { handle, heard: turn.heard } };
  },

  async go_away() {
    const call = live();
    call.say('Please end this connection.');
    await call.nextTurn();
    await call.until(() => call.goAway);
    const timeLeft = call.goAway.timeLeft;
    const handle = await redial();
    live().say('What is my city?');
    const turn = await live().nextTurn();
    return { saw: { time_left_s: timeLeft ? parseFloat(timeLeft) : null, handle, heard: turn.heard } };
  },

  async hang_up() {
    await live().close();
    return { saw: {} };
  },
};

async function inTime(step) {
  let timer;
  const deadline = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Failed('it was not over in time')), STEP_WITHIN_MS);
  });
  try {
    return await Promise.race([step(), deadline]);
  } finally {
    clearTimeout(timer);
  }
}

tell('hello', { client: PACKAGE, version });
for (const [step, take] of Object.entries(steps)) {
  try {
    const { saw, reason } = await inTime(take);
    tell('step', { step, status: 'done', saw, ...(reason && { reason }) });
  } catch (error) {
    const reason = error instanceof Failed ? error.message : `${error?.name}: ${error?.message ?? error}`;
    tell('step', { step, status: 'failed', saw: {}, reason });
  }
}
process.exit(0); // what never returned must not keep the program
