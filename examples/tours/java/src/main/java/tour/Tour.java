package tour;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.google.genai.Client;
import com.google.genai.types.CreateAuthTokenConfig;
import com.google.genai.types.FunctionCall;
import java.io.BufferedInputStream;
import java.io.FileInputStream;
import java.io.InputStream;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Predicate;
import javax.sound.sampled.AudioInputStream;
import javax.sound.sampled.AudioSystem;

/** A tour of com.google.genai: what this SDK can do with the fake service, step by step (see ../README.md). */
public final class Tour {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String MISSING_MODEL = "gemini-none-live";

    private final String model = System.getenv("HARNESS_MODEL");
    private final CloseLog log = CloseLog.open();
    private final AtomicReference<String> newestHandle = new AtomicReference<>();
    private String token;
    private Call call;
    private Turn spoken = new Turn();

    /** A step: fills `saw`, and returns a remark for the table, or null. */
    private interface Step {
        String take(Map<String, Object> saw) throws Exception;
    }

    /** This SDK has no way to do the step. */
    private static final class NotPossibleException extends Exception {
        private static final long serialVersionUID = 1;

        NotPossibleException(String reason) {
            super(reason);
        }
    }

    /** Plays the whole tour. */
    public static void main(String[] arguments) {
        new Tour().play();
        System.exit(0); // the refused dial leaves a thread behind
    }

    private void play() {
        Map<String, Object> hello = event("hello");
        hello.put("client", "com.google.genai:google-genai");
        hello.put("version", Client.class.getPackage().getImplementationVersion());
        tell(hello);
        take("mint_token", this::mintToken);
        take("dial_key", this::dialKey);
        take("refusal", this::refusal);
        take("dial_token", this::dialToken);
        take("text_turn", inSession(this::textTurn));
        take("audio_turn", inSession(this::audioTurn));
        take("transcriptions", inSession(this::transcriptions));
        take("tool_call", inSession(this::toolCall));
        take("interruption", inSession(this::interruption));
        take("resumption", inSession(this::resume));
        take("go_away", inSession(this::goAway));
        take("hang_up", inSession(this::hangUp));
    }

    private void take(String name, Step step) {
        Map<String, Object> saw = new LinkedHashMap<>();
        Map<String, Object> line = event("step");
        line.put("step", name);
        line.put("saw", saw);
        try {
            String remark = step.take(saw);
            line.put("status", "done");
            if (remark != null) {
                line.put("reason", remark);
            }
        } catch (NotPossibleException reason) {
            line.put("status", "not_possible");
            line.put("reason", reason.getMessage());
        } catch (Exception error) {
            Throwable cause = error instanceof ExecutionException ? error.getCause() : error;
            line.put("status", "failed");
            line.put("reason", cause.getMessage() == null ? "it was not over in time" : cause.getMessage());
        }
        tell(line);
    }

    private Step inSession(Step step) {
        return saw -> {
            if (call == null) {
                throw new IllegalStateException("no session");
            }
            return step.take(saw);
        };
    }

    private String mintToken(Map<String, Object> saw) throws Exception {
        token = mint();
        saw.put("token", token);
        return null;
    }

    private String dialKey(Map<String, Object> saw) throws Exception {
        Call.dial(Call.withKey(), model, null, new AtomicReference<>()).close(log);
        return null;
    }

    private String refusal(Map<String, Object> saw) throws Exception {
        log.forget();
        try {
            Call.dial(Call.withKey(), MISSING_MODEL, null, new AtomicReference<>());
        } catch (ExecutionException refused) {
            saw.put("code", null);
            saw.put("text", String.valueOf(refused.getCause().getMessage()));
            return "the error of connect() tells no code";
        } catch (TimeoutException waiting) {
            if (log.sawClosing()) {
                throw new NotPossibleException("connect() never completes when the service closes before setupComplete:"
                        + " the SDK writes code and reason to its log, and tells the app nothing");
            }
            throw waiting;
        }
        throw new IllegalStateException("the dial was not refused");
    }

    private String dialToken(Map<String, Object> saw) throws Exception {
        if (token == null) {
            throw new IllegalStateException("no token");
        }
        call = Call.dial(Call.forTokens(token), model, null, newestHandle);
        return null;
    }

    private String textTurn(Map<String, Object> saw) throws Exception {
        String text = "My city is Lisbon.";
        call.say(text);
        Turn turn = hear(Turn::spoken);
        saw.put("said", text);
        saw.put("heard", turn.heard.toString());
        saw.put("audio_bytes", turn.audioBytes);
        return null;
    }

    private String audioTurn(Map<String, Object> saw) throws Exception {
        call.speak(speech());
        spoken = hear(Turn::spoken);
        saw.put("heard", spoken.heard.toString());
        saw.put("audio_bytes", spoken.audioBytes);
        return null;
    }

    private String transcriptions(Map<String, Object> saw) {
        saw.put("input", spoken.input.toString());
        saw.put("output", spoken.heard.toString());
        if (spoken.input.isEmpty() || spoken.heard.isEmpty()) {
            throw new IllegalStateException("a transcription did not come");
        }
        return null;
    }

    private String toolCall(Map<String, Object> saw) throws Exception {
        call.say("Please call the tool.");
        FunctionCall called = hear(turn -> turn.toolCall != null).toolCall;
        saw.put("id", called.id().orElse(null));
        saw.put("name", called.name().orElse(null));
        saw.put("args", called.args().orElse(Map.of()));
        call.answerTool(called.id().orElseThrow(), called.name().orElseThrow(), Map.of("place", "Lisbon"));
        saw.put("heard", hear(Turn::spoken).heard.toString());
        return null;
    }

    private String interruption(Map<String, Object> saw) throws Exception {
        call.say("Tell me a story.");
        hear(turn -> turn.audioBytes > 0);
        call.say("Stop, please.");
        boolean interrupted = hear(turn -> turn.complete).interrupted;
        saw.put("interrupted", interrupted);
        if (!interrupted) {
            throw new IllegalStateException("the first turn was not interrupted");
        }
        saw.put("heard", hear(Turn::spoken).heard.toString());
        return null;
    }

    private String goAway(Map<String, Object> saw) throws Exception {
        saw.put("time_left_s", null);
        call.say("Please end this connection.");
        Turn turn = hear(so -> so.spoken() && so.goAway != null);
        turn.goAway.timeLeft().ifPresent(left -> saw.put("time_left_s", left.toMillis() / 1000.0));
        return resume(saw);
    }

    private String hangUp(Map<String, Object> saw) throws Exception {
        call.close(log);
        return "that the session is closed is told in the SDK's log alone";
    }

    /** Closes the call, resumes it by the newest handle with a fresh token, and asks for what was told before. */
    private String resume(Map<String, Object> saw) throws Exception {
        Call old = call;
        call = null;
        old.close(log);
        String handle = newestHandle.get();
        if (handle == null) {
            throw new IllegalStateException("no handle came");
        }
        saw.put("handle", handle);
        call = Call.dial(Call.forTokens(mint()), model, handle, newestHandle);
        call.say("What is my city?");
        saw.put("heard", hear(Turn::spoken).heard.toString());
        return null;
    }

    private static String mint() throws Exception {
        try (Client client = Call.forTokens(null)) {
            return CompletableFuture.supplyAsync(
                            () -> client.authTokens.create(CreateAuthTokenConfig.builder().uses(1).build()))
                    .get(Call.PATIENCE_MS, TimeUnit.MILLISECONDS)
                    .name()
                    .orElseThrow();
        }
    }

    /** Gathers what comes, until `enough` says so of all that has come. */
    private Turn hear(Predicate<Turn> enough) throws Exception {
        long deadlineNs = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(Call.PATIENCE_MS);
        Turn turn = new Turn();
        while (!enough.test(turn)) {
            turn.add(call.next(deadlineNs));
        }
        return turn;
    }

    private static byte[] speech() throws Exception {
        try (InputStream file = new BufferedInputStream(new FileInputStream(System.getenv("TOUR_SPEECH_WAV")));
                AudioInputStream samples = AudioSystem.getAudioInputStream(file)) {
            return samples.readAllBytes();
        }
    }

    private static Map<String, Object> event(String kind) {
        Map<String, Object> made = new LinkedHashMap<>();
        made.put("event", kind);
        return made;
    }

    private static void tell(Map<String, Object> event) {
        try {
            System.out.println(JSON.writeValueAsString(event));
            System.out.flush();
        } catch (JsonProcessingException error) {
            throw new IllegalStateException(error);
        }
    }
}
